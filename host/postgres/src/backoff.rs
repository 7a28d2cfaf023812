//! [`Backoff`]: how long to wait before the next attempt to connect.

use std::time::{Duration, Instant};

/// The wait after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait, before it is varied.
const LONGEST: Duration = Duration::from_secs(3);

/// Says when the next attempt may begin. The waits double, and differ at random,
/// so that the hosts of a journal do not all connect at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    wait: Duration,
    next: Instant,
}

impl Backoff {
    /// Returns a back-off whose first attempt may begin at once.
    pub(crate) fn new() -> Self {
        Self {
            wait: FIRST,
            next: Instant::now(),
        }
    }

    /// Returns when the next attempt may begin.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Notes a failed attempt.
    pub(crate) fn failed(&mut self) {
        let varied = self.wait.mul_f64(0.5 + fastrand::f64());
        self.next = Instant::now() + varied;
        self.wait = (self.wait * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::new();
        assert!(backoff.next() <= Instant::now());
        for attempt in 0..20 {
            let before = Instant::now();
            backoff.failed();
            let wait = backoff.next() - before;
            let base = FIRST.mul_f64(2_f64.powi(attempt)).min(LONGEST);
            assert!(wait >= base / 2, "{attempt} {wait:?}");
            assert!(
                wait <= base * 3 / 2 + Duration::from_millis(100),
                "{attempt} {wait:?}"
            );
        }
    }
}
