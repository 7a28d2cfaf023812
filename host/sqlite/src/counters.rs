//! What the journal counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use batchtask_journal::{Measure, MeasureKind};

/// What one page takes in the log: the page and its header.
pub(crate) const FRAME_BYTES: u64 = 4096 + 24;

/// What the writer sets and others read.
#[derive(Default)]
pub(crate) struct Counters {
    /// How many pages are in the log.
    pub(crate) wal_frames: AtomicU64,
    pub(crate) quarantine_bytes: AtomicU64,
    pub(crate) quarantine_dropped: AtomicU64,
}

impl Counters {
    /// The figures for operators.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        vec![
            Measure {
                name: "batchtask_journal_wal_bytes",
                help: "Size of the write-ahead log now.",
                kind: MeasureKind::Gauge,
                value: self.wal_frames.load(Relaxed) * FRAME_BYTES,
            },
            Measure {
                name: "batchtask_journal_quarantine_bytes",
                help: "Size of the quarantine now.",
                kind: MeasureKind::Gauge,
                value: self.quarantine_bytes.load(Relaxed),
            },
            Measure {
                name: "batchtask_journal_quarantine_dropped_total",
                help: "Rejects dropped to keep the quarantine within its bound.",
                kind: MeasureKind::Counter,
                value: self.quarantine_dropped.load(Relaxed),
            },
        ]
    }
}
