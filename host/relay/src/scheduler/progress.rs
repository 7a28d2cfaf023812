//! What is stored of a sink.
//!
//! The position passes over events that failed, and over those that take long: they get
//! a row each. All other undelivered events are after the position. So the position
//! moves on whatever one receiver does, few rows are written, and after a crash only the
//! events since the last save are sent again.

use std::collections::{BTreeMap, BTreeSet};

use batchtask_journal::outbox::{SinkChange, SinkState};

use super::Scheduler;

/// What is known to be stored.
#[derive(Debug, Default)]
pub(super) struct Saved {
    position: u64,
    is_paused: bool,
    /// The parked events, each with its number of refusals.
    parked: BTreeMap<u64, u32>,
    /// Dead letters that are not stored yet.
    new_dead: BTreeSet<u64>,
    /// Dead letters that are stored, but were dropped or are tried again.
    resolved: BTreeSet<u64>,
    /// The last event that was read when the state was last stored.
    read_to: u64,
}

impl Saved {
    pub(super) fn of(state: &SinkState) -> Self {
        let parked = state.parked.iter();
        Self {
            position: state.position,
            is_paused: state.paused,
            parked: parked.map(|event| (event.seq, event.attempts)).collect(),
            read_to: state.position,
            ..Self::default()
        }
    }

    pub(super) fn died(&mut self, seq: u64) {
        self.resolved.remove(&seq);
        self.new_dead.insert(seq);
    }

    pub(super) fn resolved(&mut self, seq: u64) {
        self.new_dead.remove(&seq);
        self.resolved.insert(seq);
    }
}

impl Scheduler {
    /// Returns what has to be stored now, or `None` if nothing has changed. Call
    /// [`saved`](Self::saved) once it is stored.
    pub fn change(&self) -> Option<SinkChange> {
        self.change_to(self.saved.read_to)
    }

    /// Like [`change`](Self::change), but after it no delivered event is sent again. For
    /// the end of a relay.
    pub fn final_change(&self) -> Option<SinkChange> {
        self.change_to(self.read_to)
    }

    /// `least` is the least position: events before it that are not delivered get rows.
    fn change_to(&self, least: u64) -> Option<SinkChange> {
        let mut fresh = self.tasks.events().filter(|(_, entry)| !entry.has_failed());
        let before_fresh = fresh.next().map_or(self.read_to, |(seq, _)| seq - 1);
        let position = before_fresh.max(least).max(self.saved.position);
        let rows = self.tasks.events().take_while(|(seq, _)| *seq <= position);
        let stored = &self.saved.parked;
        let mut change = SinkChange {
            position,
            paused: self.is_paused,
            ..SinkChange::default()
        };
        let mut kept = BTreeSet::new();
        for (seq, entry) in rows {
            kept.insert(seq);
            if stored.get(&seq) != Some(&entry.refusals) {
                change.parked.push(entry.to_parked(seq));
            }
        }
        let gone = stored.keys().filter(|seq| !kept.contains(seq));
        change.unparked.extend(gone);
        // Those after the position would be read from the feed again after a crash.
        let new_dead = self.saved.new_dead.range(..=position);
        let new_dead = new_dead.filter_map(|seq| self.dead.get(seq));
        change.dead.extend(new_dead.cloned());
        change.resolved.extend(&self.saved.resolved);
        let is_same = position == self.saved.position
            && self.is_paused == self.saved.is_paused
            && change.parked.is_empty()
            && change.unparked.is_empty()
            && change.dead.is_empty()
            && change.resolved.is_empty();
        (!is_same).then_some(change)
    }

    /// A change was stored. `read_to` is the last event that had been read when the
    /// change was made.
    pub fn saved(&mut self, change: &SinkChange, read_to: u64) {
        let saved = &mut self.saved;
        saved.position = change.position;
        saved.is_paused = change.paused;
        for seq in &change.unparked {
            saved.parked.remove(seq);
        }
        let parked = change.parked.iter();
        saved
            .parked
            .extend(parked.map(|event| (event.seq, event.attempts)));
        for letter in &change.dead {
            // It may have been resolved meanwhile; then `resolved` has it.
            saved.new_dead.remove(&letter.seq);
        }
        for seq in &change.resolved {
            saved.resolved.remove(seq);
        }
        saved.read_to = saved.read_to.max(read_to);
    }
}
