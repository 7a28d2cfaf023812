//! Waits between attempts.

use std::time::Duration;

/// How long to wait between attempts: a random time up to a bound that doubles with each
/// failure. So clients that fail at the same time do not come back at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The bound after the first failure.
    pub first: Duration,
    /// The greatest bound.
    pub longest: Duration,
    /// After working for this long, the bound is the first one again.
    pub steady: Duration,
}

/// No wait is shorter, whatever the random number is.
const SHORTEST: Duration = Duration::from_millis(50);

impl Pace {
    /// Between attempts to connect. The platform may count failed logins.
    pub const CONNECT: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
        steady: Duration::from_secs(10),
    };

    /// Between attempts to store a message.
    pub(crate) const STORE: Self = Self {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(5),
        steady: Duration::ZERO,
    };
}

/// The failures in a row.
#[derive(Debug)]
pub(crate) struct Backoff {
    pace: Pace,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(pace: Pace) -> Self {
        let bound = pace.first;
        Self { pace, bound }
    }

    /// Notes that it worked for this long before the failure.
    pub(crate) fn worked_for(&mut self, time: Duration) {
        if time >= self.pace.steady {
            self.bound = self.pace.first;
        }
    }

    /// Returns the wait after a failure.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.bound.mul_f64(fastrand::f64());
        self.bound = (self.bound * 2).min(self.pace.longest);
        wait.max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_longest_and_start_again_after_a_steady_time() {
        let mut backoff = Backoff::new(Pace::CONNECT);
        for bound in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(backoff.bound, Duration::from_secs(bound));
            let wait = backoff.wait();
            assert!(
                wait >= SHORTEST && wait <= Duration::from_secs(bound),
                "{wait:?}"
            );
        }
        backoff.worked_for(Pace::CONNECT.steady - Duration::from_millis(1));
        assert_eq!(backoff.bound, Pace::CONNECT.longest);
        backoff.worked_for(Pace::CONNECT.steady);
        assert_eq!(backoff.bound, Pace::CONNECT.first);
    }

    #[test]
    fn waits_are_spread_over_the_whole_time() {
        let waits: Vec<Duration> = (0..1000)
            .map(|_| Backoff::new(Pace::CONNECT).wait())
            .collect();
        let below = waits
            .iter()
            .filter(|wait| **wait < Duration::from_millis(500))
            .count();
        assert!((400..600).contains(&below), "{below}");
    }
}
