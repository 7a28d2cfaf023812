//! [`Counters`]: the journal's own metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use batchtask_journal::{Measure, MeasureKind};

/// The name, kind, help and value of a metric.
type Metric = (
    &'static str,
    MeasureKind,
    &'static str,
    fn(&Counters) -> u64,
);

const METRICS: &[Metric] = &[
    (
        "batchtask_journal_connections",
        MeasureKind::Gauge,
        "Connections of this host to the database now.",
        |counters| counters.connections.load(Relaxed),
    ),
    (
        "batchtask_journal_reconnects_total",
        MeasureKind::Counter,
        "Connections for writing that were opened because an earlier one was lost.",
        |counters| counters.reconnects.load(Relaxed),
    ),
    (
        "batchtask_journal_failed_connects_total",
        MeasureKind::Counter,
        "Attempts to connect to the database that failed.",
        |counters| counters.failed_connects.load(Relaxed),
    ),
    (
        "batchtask_journal_lost_answers_total",
        MeasureKind::Counter,
        "Commits with an unknown outcome, which were answered 503.",
        |counters| counters.lost_answers.load(Relaxed),
    ),
    (
        "batchtask_journal_lock_timeouts_total",
        MeasureKind::Counter,
        "Commits that waited too long for a commit of another host.",
        |counters| counters.lock_timeouts.load(Relaxed),
    ),
    (
        "batchtask_journal_commit_microseconds_total",
        MeasureKind::Counter,
        "Time from sending a batch to the answer of the database, over all commits.",
        |counters| counters.commit_micros.load(Relaxed),
    ),
    (
        "batchtask_journal_feed_lag_milliseconds",
        MeasureKind::Gauge,
        "How long ago this host last knew all events of the other hosts.",
        Counters::feed_lag_ms,
    ),
    (
        "batchtask_journal_polled_events_total",
        MeasureKind::Counter,
        "Events of other hosts that were found by polling, because no notification announced them.",
        |counters| counters.polled_events.load(Relaxed),
    ),
    (
        "batchtask_journal_size_bytes",
        MeasureKind::Gauge,
        "Size of the journal's tables and indexes in the database.",
        |counters| counters.size_bytes.load(Relaxed),
    ),
    (
        "batchtask_journal_oldest_event_timestamp_seconds",
        MeasureKind::Gauge,
        "When the oldest event in the journal arrived, in seconds since 1970; 0 without events.",
        |counters| counters.oldest_received_at_ms.load(Relaxed) / 1000,
    ),
    (
        "batchtask_journal_pruned_events_total",
        MeasureKind::Counter,
        "Events removed because their task was final and old, over all hosts.",
        |counters| counters.pruned_events.load(Relaxed),
    ),
    (
        "batchtask_journal_quarantine_bytes",
        MeasureKind::Gauge,
        "Size of the quarantine now, over all hosts.",
        |counters| counters.quarantine_bytes.load(Relaxed),
    ),
    (
        "batchtask_journal_quarantine_dropped_total",
        MeasureKind::Counter,
        "Rejects dropped to keep the quarantine within its bound, over all hosts.",
        |counters| counters.quarantine_dropped.load(Relaxed),
    ),
];

/// Values that other parts set.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Connections that are open now.
    pub(crate) connections: AtomicU64,
    /// Connections opened after an earlier one was lost.
    pub(crate) reconnects: AtomicU64,
    /// Attempts to connect that failed.
    pub(crate) failed_connects: AtomicU64,
    /// Commits whose outcome is unknown, because their answer was lost.
    pub(crate) lost_answers: AtomicU64,
    /// Commits that waited too long for the commit of another host.
    pub(crate) lock_timeouts: AtomicU64,
    /// The time that the database took for all commits, in microseconds.
    pub(crate) commit_micros: AtomicU64,
    /// The size of the tables and indexes.
    pub(crate) size_bytes: AtomicU64,
    /// When the first event in the journal arrived, or 0 if there is no event.
    pub(crate) oldest_received_at_ms: AtomicU64,
    pub(crate) quarantine_bytes: AtomicU64,
    pub(crate) quarantine_dropped: AtomicU64,
    pub(crate) pruned_events: AtomicU64,
    /// Events that a poll found before a notification announced them.
    pub(crate) polled_events: AtomicU64,
    /// When the feed was last known to be complete, in milliseconds after `start`.
    pub(crate) feed_checked_ms: AtomicU64,
    pub(crate) start: Instant,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            connections: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            failed_connects: AtomicU64::new(0),
            lost_answers: AtomicU64::new(0),
            lock_timeouts: AtomicU64::new(0),
            commit_micros: AtomicU64::new(0),
            size_bytes: AtomicU64::new(0),
            oldest_received_at_ms: AtomicU64::new(0),
            quarantine_bytes: AtomicU64::new(0),
            quarantine_dropped: AtomicU64::new(0),
            pruned_events: AtomicU64::new(0),
            polled_events: AtomicU64::new(0),
            feed_checked_ms: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    /// Notes that the feed is complete now.
    pub(crate) fn feed_checked(&self) {
        self.feed_checked_ms.store(self.now_ms(), Relaxed);
    }

    /// Returns the metrics.
    pub(crate) fn measures(&self) -> Vec<Measure> {
        let measure = |(name, kind, help, value): &Metric| Measure {
            name,
            help,
            kind: *kind,
            value: value(self),
        };
        METRICS.iter().map(measure).collect()
    }

    fn feed_lag_ms(&self) -> u64 {
        let checked_ms = self.feed_checked_ms.load(Relaxed);
        self.now_ms().saturating_sub(checked_ms)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
