//! What the journal counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::record::Totals;
use crate::journal::Appended;

/// Hears of commits as they happen, on the writer's thread: it must be quick.
pub trait Observer: Send + Sync + 'static {
    /// `writes` writes became durable together, in `elapsed` from the start
    /// of their transaction to the end of the sync.
    fn committed(&self, writes: usize, elapsed: Duration);
}

/// The journal's counts at one moment. Those of events and commits are since
/// the journal was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that are durable.
    pub commits: u64,
    /// Transactions that failed; all their writes were answered so.
    pub failed_commits: u64,
    /// Events and rejects recorded.
    pub recorded: u64,
    /// Events that were there before.
    pub duplicates: u64,
    /// Writes refused because their nonce was known.
    pub replays: u64,
    /// Writes that wait for the writer now.
    pub waiting: usize,
    /// What the write-ahead log holds now, in bytes.
    pub wal_bytes: u64,
    /// What the quarantine holds now, in bytes.
    pub quarantine_bytes: u64,
    /// Rejects dropped in the life of the journal to stay within bounds.
    pub quarantine_dropped: u64,
}

/// What the writer counts up and others read.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) failed_commits: AtomicU64,
    pub(super) recorded: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) replays: AtomicU64,
    pub(super) wal_frames: AtomicU64,
    pub(super) quarantine_bytes: AtomicU64,
    pub(super) quarantine_dropped: AtomicU64,
}

impl Counters {
    /// Counts a commit; what probes came to is among its outcomes.
    pub(super) fn committed(&self, outcomes: &[Appended], probes: u64, totals: &Totals) {
        let count = |kind| outcomes.iter().filter(|outcome| **outcome == kind).count() as u64;
        self.commits.fetch_add(1, Relaxed);
        self.recorded
            .fetch_add(count(Appended::Recorded) - probes, Relaxed);
        self.duplicates
            .fetch_add(count(Appended::Duplicate), Relaxed);
        self.replays.fetch_add(count(Appended::Replayed), Relaxed);
        self.adopt(totals);
    }

    /// Takes over what is durable.
    pub(super) fn adopt(&self, totals: &Totals) {
        self.quarantine_bytes
            .store(totals.quarantine_bytes, Relaxed);
        self.quarantine_dropped
            .store(totals.quarantine_dropped, Relaxed);
    }

    pub(super) fn snapshot(&self, waiting: usize) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            failed_commits: self.failed_commits.load(Relaxed),
            recorded: self.recorded.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            replays: self.replays.load(Relaxed),
            waiting,
            wal_bytes: self.wal_frames.load(Relaxed) * super::checkpoint::FRAME_BYTES,
            quarantine_bytes: self.quarantine_bytes.load(Relaxed),
            quarantine_dropped: self.quarantine_dropped.load(Relaxed),
        }
    }
}
