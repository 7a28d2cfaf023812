//! [`SinkStatus`]: what operators see of a sink.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::scheduler::{Counts, Outcome};

/// What operators see of a sink.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SinkStatus {
    /// The name of the sink.
    pub name: String,
    /// Whether this host owns it. Otherwise the counts are not known here.
    pub ownership: Ownership,
    /// The counts of its events.
    pub counts: Counts,
    /// The greatest `seq` of the journal.
    pub last_seq: u64,
    /// How long the oldest undelivered event has waited, in milliseconds.
    pub lag_ms: u64,
    /// The results of all attempts of this process.
    pub results: Results,
}

/// Whether this host owns a sink.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Ownership {
    /// It is starting, or its journal cannot be used.
    #[default]
    Starting,
    /// This host owns it.
    Owned,
    /// Another host owns it.
    HeldBy(String),
}

/// The results of attempts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Results {
    /// Events that the receiver accepted.
    pub delivered: u64,
    /// Attempts that the receiver refused.
    pub refused: u64,
    /// Attempts that failed because the sink does not work.
    pub sink_failed: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Events that were sent again by a replay, and accepted.
    pub replayed: u64,
}

impl SinkStatus {
    /// Returns how many events of the journal are not delivered yet.
    pub fn lag_events(&self) -> u64 {
        let unread = self.last_seq.saturating_sub(self.counts.read_to);
        unread + self.counts.undelivered as u64
    }

    /// Returns a word for the state of the sink.
    pub fn state(&self) -> &'static str {
        use crate::circuit::CircuitState::{Closed, HalfOpen, Open};
        match (&self.ownership, self.counts.circuit) {
            (Ownership::Starting, _) => "starting",
            (Ownership::HeldBy(_), _) => "standby",
            _ if self.counts.is_paused => "paused",
            _ if self.counts.is_full => "full",
            (Ownership::Owned, Open | HalfOpen) => "failing",
            (Ownership::Owned, Closed) => "running",
        }
    }
}

/// The status of a running sink, shared with those who ask.
#[derive(Default)]
pub(crate) struct Board {
    status: Mutex<SinkStatus>,
    delivered: AtomicU64,
    refused: AtomicU64,
    sink_failed: AtomicU64,
    dead: AtomicU64,
    replayed: AtomicU64,
}

impl Board {
    pub(crate) fn new(name: &str) -> Self {
        let status = SinkStatus {
            name: name.to_owned(),
            ..SinkStatus::default()
        };
        Self {
            status: Mutex::new(status),
            ..Self::default()
        }
    }

    pub(crate) fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Delivered => &self.delivered,
            Outcome::Refused(_) => &self.refused,
            Outcome::SinkFailed { .. } => &self.sink_failed,
            Outcome::Unread(_) | Outcome::Gone => return,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_replayed(&self, outcome: &Outcome) {
        if *outcome == Outcome::Delivered {
            self.replayed.fetch_add(1, Relaxed);
        } else {
            self.count(outcome);
        }
    }

    pub(crate) fn count_dead(&self) {
        self.dead.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_ownership(&self, ownership: Ownership) {
        let mut status = self.lock();
        if ownership != Ownership::Owned {
            // The counts belong to the former session.
            let last_error = status.counts.last_error.take();
            status.counts = Counts {
                last_error,
                ..Counts::default()
            };
            (status.last_seq, status.lag_ms) = (0, 0);
        }
        status.ownership = ownership;
    }

    pub(crate) fn set(&self, counts: Counts, last_seq: u64, lag_ms: u64) {
        let mut status = self.lock();
        status.counts = counts;
        status.last_seq = last_seq;
        status.lag_ms = lag_ms;
    }

    pub(crate) fn status(&self) -> SinkStatus {
        let results = Results {
            delivered: self.delivered.load(Relaxed),
            refused: self.refused.load(Relaxed),
            sink_failed: self.sink_failed.load(Relaxed),
            dead: self.dead.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
        };
        SinkStatus {
            results,
            ..self.lock().clone()
        }
    }

    /// Locks the status. Nothing panics while it is locked.
    fn lock(&self) -> MutexGuard<'_, SinkStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
