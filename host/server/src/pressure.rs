//! Detects that this host is refusing pushes for a reason of its own, such as
//! overload. `/readyz` fails then, so that a load balancer uses another host.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The length of the period that counts, in seconds.
const SECONDS: u64 = 10;

/// Fewer refusals than this in the period are ignored.
const REFUSED_MIN: u64 = 5;

/// Counts the pushes of the last seconds, and how many of them were refused.
pub(crate) struct Pressure {
    started: Instant,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    /// One bucket for each second, used in turn.
    buckets: [Bucket; SECONDS as usize],
    /// The last second in which no file descriptor was available.
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

    /// Records that a connection could not be accepted, because no file descriptor
    /// was available.
    pub(crate) fn note_no_descriptor(&self) {
        let second = self.second();
        self.recent().no_descriptor = Some(second);
    }

    /// Returns why pushes are being refused: in the last ten seconds, at least
    /// half of them were refused, or file descriptors were used up. Returns `None`
    /// if neither happened.
    pub(crate) fn refusing(&self) -> Option<String> {
        let second = self.second();
        let is_recent = |at: u64| second - at < SECONDS;
        let recent = self.recent();
        if recent.no_descriptor.is_some_and(is_recent) {
            return Some(format!(
                "a connection of the last {SECONDS} s could not be accepted, because no file \
                 descriptor was left: raise the limit of open files (`ulimit -n`)"
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

    /// Locks the counts. Nothing panics while the lock is held, so a poisoned lock is safe to use.
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
        assert_eq!(pressure.refusing(), None, "too few to count");
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
