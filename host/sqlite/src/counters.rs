//! [`Counters`]: the journal's own metrics.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use batchtask_journal::{Measure, MeasureKind};

use crate::disk;

/// The size of a frame in the log: a page and its header.
pub(crate) const FRAME_BYTES: u64 = 4096 + 24;
/// The size of the log's header.
pub(crate) const LOG_HEADER_BYTES: u64 = 32;

/// The values that the writer sets and others read.
#[derive(Default)]
pub(crate) struct Counters {
    /// How many pages are in the log.
    pub(crate) wal_frames: AtomicU64,
    pub(crate) quarantine_bytes: AtomicU64,
    pub(crate) quarantine_dropped: AtomicU64,
    pub(crate) pruned_events: AtomicU64,
    /// When the first event in the journal arrived, or 0 if there is no event.
    pub(crate) oldest_received_at_ms: AtomicU64,
}

impl Counters {
    /// Returns the metrics of the journal at `path`.
    pub(crate) fn measures(&self, path: &Path) -> Vec<Measure> {
        let gauge = |name, help, value| Measure {
            name,
            help,
            kind: MeasureKind::Gauge,
            value,
        };
        let counter = |name, help, value| Measure {
            name,
            help,
            kind: MeasureKind::Counter,
            value,
        };
        vec![
            gauge(
                "batchtask_journal_size_bytes",
                "Size of the journal's database, without its log.",
                fs::metadata(path).map_or(0, |data| data.len()),
            ),
            gauge(
                "batchtask_journal_wal_bytes",
                "Size of the write-ahead log now.",
                self.wal_frames.load(Relaxed) * FRAME_BYTES,
            ),
            gauge(
                "batchtask_journal_disk_free_bytes",
                "Free bytes on the journal's disk.",
                disk::free_bytes(path).unwrap_or(0),
            ),
            gauge(
                "batchtask_journal_oldest_event_timestamp_seconds",
                "When the oldest event in the journal arrived, in seconds since 1970; 0 without events.",
                self.oldest_received_at_ms.load(Relaxed) / 1000,
            ),
            counter(
                "batchtask_journal_pruned_events_total",
                "Events removed because their task was final and old.",
                self.pruned_events.load(Relaxed),
            ),
            gauge(
                "batchtask_journal_quarantine_bytes",
                "Size of the quarantine now.",
                self.quarantine_bytes.load(Relaxed),
            ),
            counter(
                "batchtask_journal_quarantine_dropped_total",
                "Rejects dropped to keep the quarantine within its bound.",
                self.quarantine_dropped.load(Relaxed),
            ),
        ]
    }
}
