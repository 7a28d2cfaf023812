//! [`SteadyClock`]: a clock that does not run ahead.
//!
//! Signatures and old tasks must not be forgotten because the host's clock was
//! wrong for a while: a used signature could be used again, and tasks would be
//! removed too early. This clock follows the host's clock back, but not ahead:
//! then it advances by the time that really passed, until the host's clock has
//! been ahead for a day and is probably right. After a long stop of the program,
//! or a sleep of the machine, this clock is late for a day, so that data is kept
//! longer.

use std::time::{Duration, Instant};

/// How far the host's clock may run ahead and still be followed at once. It is
/// more than the error of synchronized clocks.
pub(crate) const SLACK_MS: u64 = 60_000;

/// How long the host's clock must be ahead before it is followed.
const FOLLOWED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that does not run ahead.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    /// The time at `at`, in milliseconds since 1970. `None` before the first call
    /// of [`advance`](Self::advance) in a new journal.
    now_ms: Option<u64>,
    /// When `now_ms` was set.
    at: Instant,
    /// Since when the host's clock has been ahead.
    ahead_since: Option<Instant>,
}

impl SteadyClock {
    /// Returns a clock that continues from a stored time, if there is one.
    pub(crate) fn new(stored_ms: Option<u64>, at: Instant) -> Self {
        Self {
            now_ms: stored_ms,
            at,
            ahead_since: None,
        }
    }

    /// Advances the clock and returns its time. `host_ms` is the time of the
    /// host's clock. Both are in milliseconds since 1970.
    pub(crate) fn advance(&mut self, host_ms: u64, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_millis();
        let passed_ms = u64::try_from(passed).unwrap_or(u64::MAX);
        let steady_ms = self.now_ms.map(|ms| ms.saturating_add(passed_ms));
        let now_ms = match steady_ms {
            Some(steady_ms) if host_ms > steady_ms.saturating_add(SLACK_MS) => {
                let since = *self.ahead_since.get_or_insert(now);
                if now.saturating_duration_since(since) < FOLLOWED_AFTER {
                    steady_ms
                } else {
                    self.ahead_since = None;
                    host_ms
                }
            }
            _ => {
                self.ahead_since = None;
                host_ms
            }
        };
        self.now_ms = Some(now_ms);
        self.at = now;
        now_ms
    }

    /// Returns the last result of [`advance`](Self::advance).
    pub(crate) fn last_ms(&self) -> Option<u64> {
        self.now_ms
    }

    /// Lets time pass, for tests.
    #[cfg(test)]
    pub(crate) fn pass(&mut self, time: Duration) {
        self.at -= time;
        self.ahead_since = self.ahead_since.map(|since| since - time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    const NOW_MS: u64 = 1_700_000_000_000;

    #[test]
    fn it_follows_a_clock_that_is_right() {
        let start = Instant::now();
        let mut clock = SteadyClock::new(None, start);
        for seconds in [0, 1, 2, 3600, 3601] {
            let now = start + Duration::from_secs(seconds);
            // The host's clock drifts a little.
            let host_ms = NOW_MS + seconds * 1000 + seconds % 7;
            assert_eq!(clock.advance(host_ms, now), host_ms);
        }
    }

    #[test]
    fn it_does_not_run_ahead_and_goes_back() {
        let start = Instant::now();
        let mut clock = SteadyClock::new(Some(NOW_MS), start);
        for seconds in [1, 10, 1000] {
            let now = start + Duration::from_secs(seconds);
            let ahead_ms = NOW_MS + YEAR_MS + seconds * 1000;
            assert_eq!(clock.advance(ahead_ms, now), NOW_MS + seconds * 1000);
        }
        let later = start + Duration::from_secs(1001);
        assert_eq!(clock.advance(NOW_MS + 1_001_000, later), NOW_MS + 1_001_000);
        assert_eq!(clock.advance(NOW_MS - YEAR_MS, later), NOW_MS - YEAR_MS);
        assert_eq!(clock.last_ms(), Some(NOW_MS - YEAR_MS));
    }

    #[test]
    fn a_clock_that_stays_ahead_is_followed_after_a_day() {
        let start = Instant::now();
        let mut clock = SteadyClock::new(Some(NOW_MS), start);
        let day = Duration::from_secs(24 * 60 * 60);
        clock.advance(NOW_MS + YEAR_MS, start);
        let early = clock.advance(NOW_MS + YEAR_MS, start + day / 2);
        assert!(early < NOW_MS + YEAR_MS, "{early}");
        let late = clock.advance(NOW_MS + YEAR_MS, start + day);
        assert_eq!(late, NOW_MS + YEAR_MS);
    }
}
