//! Whether this host refuses pushes now for a reason of its own. That is a
//! part of readiness, so that a balancer sends them elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How many seconds are looked at.
const SECONDS: u64 = 10;

/// Fewer refusals than this in that time may be chance.
const REFUSED_MIN: u64 = 5;

/// What became of the pushes of the last seconds.
pub(crate) struct Pressure {
    started: Instant,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    /// One for each second, used in turn.
    buckets: [Bucket; SECONDS as usize],
    /// The second in which a file descriptor was missing last.
    no_descriptor: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    second: u64,
    refused: u64,
    all: u64,
}

impl Pressure {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            recent: Mutex::default(),
        }
    }

    /// Counts a push, or a connection that may have carried one.
    pub(crate) fn count(&self, is_refused: bool) {
        let second = self.second();
        let mut recent = self.recent();
        let bucket = &mut recent.buckets[(second % SECONDS) as usize];
        if bucket.second != second {
            *bucket = Bucket {
                second,
                ..Bucket::default()
            };
        }
        bucket.all += 1;
        bucket.refused += u64::from(is_refused);
    }

    /// Notes that a connection could not be accepted, because no file
    /// descriptor was left.
    pub(crate) fn note_no_descriptor(&self) {
        let second = self.second();
        self.recent().no_descriptor = Some(second);
    }

    /// Why pushes are being refused: at least half of those of the last ten
    /// seconds were, or file descriptors were used up. `None` if they are not.
    pub(crate) fn refusing(&self) -> Option<String> {
        let second = self.second();
        let is_recent = |at: u64| second - at < SECONDS;
        let recent = self.recent();
        if recent.no_descriptor.is_some_and(is_recent) {
            return Some(format!(
                "no file descriptor was left for a connection within the last {SECONDS} s: raise \
                 the limit of open files"
            ));
        }
        let buckets = recent.buckets.iter();
        let (refused, all) = buckets
            .filter(|bucket| is_recent(bucket.second))
            .fold((0, 0), |(refused, all), bucket| {
                (refused + bucket.refused, all + bucket.all)
            });
        (refused >= REFUSED_MIN && refused * 2 >= all)
            .then(|| format!("{refused} of {all} pushes of the last {SECONDS} s were refused"))
    }

    fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn count(pressure: &Pressure, answered: usize, refused: usize) {
        (0..answered).for_each(|_| pressure.count(false));
        (0..refused).for_each(|_| pressure.count(true));
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_the_pushes_refused_is_refusing_until_ten_seconds_later() {
        let pressure = Pressure::new();
        count(&pressure, 0, 4);
        assert_eq!(pressure.refusing(), None, "too few to tell");
        tokio::time::advance(Duration::from_secs(3)).await;
        count(&pressure, 100, 6);
        assert_eq!(pressure.refusing(), None, "a small share");
        count(&pressure, 0, 90);
        let reason = pressure.refusing().expect("half are refused");
        assert!(reason.starts_with("100 of 200 pushes"), "{reason}");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(pressure.refusing(), None);
        count(&pressure, 1, 5);
        assert!(pressure.refusing().is_some(), "a bucket is used again");
    }

    #[tokio::test(start_paused = true)]
    async fn no_descriptor_is_refusing_for_a_while() {
        let pressure = Pressure::new();
        pressure.note_no_descriptor();
        assert!(pressure.refusing().is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(pressure.refusing(), None);
    }
}
