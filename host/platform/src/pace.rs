//! [`Pace`]: how fast calls may follow each other. [`Retry`]: when a call is
//! repeated.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A wait before a repetition is shortened by up to this part of it, at random, so
/// that several clients do not repeat at the same time.
const JITTER: f64 = 0.5;

/// The longest wait before a repetition, whatever the platform asks for.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Spaces calls evenly.
pub(crate) struct Pace {
    interval: Duration,
    /// When the next call may begin.
    next: Mutex<Instant>,
}

impl Pace {
    /// `per_second` must not be 0.
    pub(crate) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let next = Mutex::new(Instant::now());
        Self { interval, next }
    }

    /// Waits until the next call may begin.
    pub(crate) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.interval;
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

/// How often a call is repeated, and after which wait.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How often a call is tried in all.
    pub attempts: u32,
    /// The wait before the first repetition. Each further one is twice as long, up
    /// to 30 s.
    pub first_delay: Duration,
}

impl Default for Retry {
    /// Five attempts within about 8 s.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_millis(500),
        }
    }
}

impl Retry {
    /// Returns how long to wait after the failed attempt number `attempt`, which
    /// counts from 1. Returns `None` if it was the last one. `asked` is the wait
    /// that the platform asked for.
    pub(crate) fn delay(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doublings = (attempt - 1).min(16);
        let grown = self
            .first_delay
            .saturating_mul(1 << doublings)
            .min(DELAY_MAX);
        let jittered = grown.mul_f64(1.0 - JITTER * fastrand::f64());
        Some(asked.map_or(jittered, |asked| asked.max(jittered).min(DELAY_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spaced() {
        let pace = Pace::new(10);
        let start = Instant::now();
        for _ in 0..21 {
            pace.turn().await;
        }
        let taken = start.elapsed();
        assert!((2000..2100).contains(&taken.as_millis()), "{taken:?}");
    }

    #[test]
    fn waits_grow_with_jitter_and_end() {
        let retry = Retry {
            attempts: 12,
            first_delay: Duration::from_secs(1),
        };
        for attempt in 1..12 {
            let full = Duration::from_secs(1 << (attempt - 1)).min(DELAY_MAX);
            let delay = retry.delay(attempt, None).unwrap();
            assert!(delay <= full && delay >= full / 2, "{attempt}: {delay:?}");
        }
        assert_eq!(retry.delay(12, None), None);
        assert_eq!(
            retry.delay(1, Some(Duration::from_secs(5))),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            retry.delay(1, Some(Duration::from_secs(5000))),
            Some(DELAY_MAX)
        );
    }
}
