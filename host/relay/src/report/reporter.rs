//! [`Reporter`]: what one sink reports, and when.

use std::time::Duration;

use batchtask_journal::StoredEvent;
use batchtask_journal::outbox::{SinkChange, SinkState};
use fastrand::Rng;

use super::Report;
use super::alerts::Alerts;
use super::condition::{Condition, Observed};
use super::digest::Digest;
use super::pace::Pace;
use crate::circuit::CircuitState;
use crate::scheduler::{Counts, Outcome};

/// What one sink reports, and when. All times are in milliseconds since 1970, of a clock
/// that only goes forward.
#[derive(Debug)]
pub struct Reporter {
    content: Content,
    pace: Pace,
    /// The `seq` of the last event that was read from the feed.
    read_to: u64,
    saved: Saved,
}

#[derive(Debug)]
enum Content {
    Digest(Digest),
    Alerts(Alerts),
}

/// What is known to be stored.
#[derive(Debug)]
struct Saved {
    position: u64,
    is_paused: bool,
    revision: u64,
    /// The revision of the change that is being stored.
    saving: u64,
}

/// What a [`Reporter`] sends.
#[derive(Clone, Copy, Debug)]
pub enum Sending<'a> {
    /// A digest of the events.
    Digests,
    /// Alerts of these conditions, for the sink with this name.
    Alerts(&'a str, &'a [Condition]),
}

impl Reporter {
    /// Returns a reporter that continues from a stored state.
    pub fn new(sending: Sending<'_>, every: Duration, state: &SinkState, rng: Rng) -> Self {
        let content = match sending {
            Sending::Digests => Content::Digest(Digest::default()),
            Sending::Alerts(sink, conditions) => {
                Content::Alerts(Alerts::new(sink, conditions, &state.memo))
            }
        };
        Self {
            content,
            pace: Pace::new(every, state.paused, rng),
            read_to: state.position,
            saved: Saved {
                position: state.position,
                is_paused: state.paused,
                revision: 0,
                saving: 0,
            },
        }
    }

    /// Returns the `seq` after which the feed is read next.
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Takes an event of the feed. `is_admitted`: whether it is for the sink.
    pub fn take(&mut self, stored: &StoredEvent, is_admitted: bool, now_ms: u64) {
        if stored.seq <= self.read_to {
            return;
        }
        self.read_to = stored.seq;
        if is_admitted {
            match &mut self.content {
                Content::Digest(digest) => digest.take(stored),
                Content::Alerts(alerts) => alerts.take(stored),
            }
        }
        self.update(now_ms);
    }

    /// Takes what the host knows of the conditions.
    pub fn observe(&mut self, observed: &Observed, now_ms: u64) {
        if let Content::Alerts(alerts) = &mut self.content {
            alerts.observe(observed, self.read_to, now_ms);
        }
        self.update(now_ms);
    }

    fn update(&mut self, now_ms: u64) {
        if self.pace.is_sending() {
            return;
        }
        let is_waiting = match &self.content {
            Content::Digest(digest) => digest.is_waiting(),
            Content::Alerts(alerts) => !alerts.changes().is_empty(),
        };
        self.pace.set_waiting(is_waiting, now_ms);
    }

    /// Returns the next report, if one may be sent now. The caller must report its
    /// [`Outcome`].
    pub fn next(&mut self, now_ms: u64) -> Option<Report> {
        if !self.pace.start(now_ms) {
            return None;
        }
        Some(match &mut self.content {
            Content::Digest(digest) => Report::Digest(digest.begin()),
            Content::Alerts(alerts) => Report::Alerts(alerts.begin()),
        })
    }

    /// Returns when [`next`](Self::next) may return a report although nothing else
    /// happened.
    pub fn wake_at(&self) -> Option<u64> {
        self.pace.due_ms()
    }

    /// Takes the result of a report. Returns whether it was accepted.
    pub fn finish(&mut self, outcome: &Outcome, now_ms: u64) -> bool {
        let is_accepted = self.pace.finish(outcome, now_ms);
        match &mut self.content {
            Content::Digest(digest) => digest.finish(is_accepted),
            Content::Alerts(alerts) => alerts.finish(is_accepted),
        }
        self.update(now_ms);
        is_accepted
    }

    /// Sends nothing until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.pace.is_paused = true;
    }

    /// Sends again.
    pub fn resume(&mut self) {
        self.pace.is_paused = false;
    }

    /// Returns the `seq` up to which nothing has to be read again after a restart.
    fn position(&self) -> u64 {
        match &self.content {
            Content::Digest(digest) => digest.first_seq().map_or(self.read_to, |seq| seq - 1),
            // The memo has all that is not accepted.
            Content::Alerts(_) => self.read_to,
        }
    }

    fn revision(&self) -> u64 {
        match &self.content {
            Content::Digest(_) => 0,
            Content::Alerts(alerts) => alerts.revision,
        }
    }

    /// Returns what has to be stored now, or `None` if nothing has changed. Call
    /// [`saved`](Self::saved) once it is stored.
    pub fn change(&mut self) -> Option<SinkChange> {
        let position = self.position().max(self.saved.position);
        let revision = self.revision();
        let is_same = position == self.saved.position
            && self.pace.is_paused == self.saved.is_paused
            && revision == self.saved.revision;
        if is_same {
            return None;
        }
        self.saved.saving = revision;
        let memo = match &self.content {
            Content::Alerts(alerts) if revision != self.saved.revision => Some(alerts.memo()),
            _ => None,
        };
        Some(SinkChange {
            position,
            paused: self.pace.is_paused,
            memo,
            ..SinkChange::default()
        })
    }

    /// The last change was stored.
    pub fn saved(&mut self, change: &SinkChange) {
        self.saved.position = change.position;
        self.saved.is_paused = change.paused;
        self.saved.revision = self.saved.saving;
    }

    /// Returns whether the sink works.
    pub fn circuit(&self) -> CircuitState {
        self.pace.circuit()
    }

    /// Returns counts for operators.
    pub fn counts(&self) -> Counts {
        let (events, oldest_ms) = match &self.content {
            Content::Digest(digest) => (digest.events(), digest.oldest_ms()),
            Content::Alerts(alerts) => {
                let oldest_ms = alerts.oldest_ms().or(self.pace.waiting_since_ms());
                (0, oldest_ms)
            }
        };
        Counts {
            read_to: self.read_to,
            undelivered: usize::try_from(events).unwrap_or(usize::MAX),
            in_flight: self.pace.is_sending().into(),
            oldest_ms,
            circuit: self.pace.circuit(),
            is_paused: self.pace.is_paused,
            last_error: self.pace.last_error.clone(),
            ..Counts::default()
        }
    }
}
