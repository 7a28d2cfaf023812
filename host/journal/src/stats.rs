//! The counts of group commit.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Appended;

/// Observes every commit. It is called on the thread that commits, so it must be
/// quick.
pub trait Observer: Send + Sync + 'static {
    /// Called after a batch of `entries` entries became durable. `elapsed` is the
    /// time that the backend took.
    fn committed(&self, entries: usize, elapsed: Duration);
}

/// Counts since group commit was started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that are durable.
    pub commits: u64,
    /// Batches that failed. Each of their entries was answered with the error.
    pub failed_commits: u64,
    /// Events and rejects that were recorded.
    pub recorded: u64,
    /// Events and rejects that the journal had already.
    pub duplicates: u64,
    /// Entries that were refused because their signature was used before.
    pub replays: u64,
    /// Entries that are waiting for a commit now.
    pub waiting: usize,
}

/// The counters behind [`Stats`].
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    failed_commits: AtomicU64,
    recorded: AtomicU64,
    duplicates: AtomicU64,
    replays: AtomicU64,
    /// Why the last commit failed, if it did.
    failure: Mutex<Option<String>>,
}

impl Counters {
    /// Counts a durable batch. `outcomes` includes those of its `probes` probes.
    pub(crate) fn committed(&self, outcomes: &[Appended], probes: u64) {
        let (mut recorded, mut duplicates, mut replays) = (0, 0, 0);
        for outcome in outcomes {
            match outcome {
                Appended::Recorded => recorded += 1,
                Appended::Duplicate => duplicates += 1,
                Appended::Replayed => replays += 1,
            }
        }
        self.commits.fetch_add(1, Relaxed);
        self.recorded
            .fetch_add(u64::saturating_sub(recorded, probes), Relaxed);
        self.duplicates.fetch_add(duplicates, Relaxed);
        self.replays.fetch_add(replays, Relaxed);
    }

    /// Counts a batch that failed. Returns whether the batch before it did not fail for the
    /// same reason.
    pub(crate) fn failed(&self, text: &str) -> bool {
        self.failed_commits.fetch_add(1, Relaxed);
        let last = self.last_failure().replace(text.to_owned());
        last.as_deref() != Some(text)
    }

    /// Records that a batch is durable. Returns whether the one before it failed.
    pub(crate) fn works(&self) -> bool {
        self.last_failure().take().is_some()
    }

    /// Returns why the last commit failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.last_failure().clone()
    }

    /// Locks the reason. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn last_failure(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the counts now.
    pub(crate) fn snapshot(&self, waiting: usize) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            failed_commits: self.failed_commits.load(Relaxed),
            recorded: self.recorded.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            replays: self.replays.load(Relaxed),
            waiting,
        }
    }
}
