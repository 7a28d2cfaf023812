//! [`Tasks`]: the undelivered events of each task, and when its first one is due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use batchtask_journal::outbox::ParkedEvent;

use super::Offered;

/// Application id and task id.
type Key = Arc<(String, String)>;

/// The undelivered events of a sink, by task.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    events: BTreeMap<u64, Entry>,
    tasks: HashMap<Key, Task>,
    /// The first event of each task that is neither held nor in progress, with the time
    /// at which it is due.
    agenda: BTreeSet<(u64, u64)>,
    /// Events of tasks whose first event failed, or that are held.
    blocked: usize,
    held: usize,
}

/// An undelivered event.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    key: Key,
    pub(super) refusals: u32,
    pub(super) sink_failures: u32,
    not_before_ms: u64,
    received_at_ms: Option<u64>,
    error: String,
}

/// A task with undelivered events, or one that is held.
#[derive(Debug, Default)]
struct Task {
    events: BTreeSet<u64>,
    /// The dead letters that hold it.
    dead: usize,
    in_flight: bool,
    /// Its entry in the agenda.
    scheduled: Option<(u64, u64)>,
    is_blocked: bool,
}

impl Entry {
    /// Whether an attempt failed.
    pub(super) fn has_failed(&self) -> bool {
        self.refusals > 0 || self.sink_failures > 0
    }

    pub(super) fn to_parked(&self, seq: u64) -> ParkedEvent {
        ParkedEvent {
            seq,
            app_id: self.key.0.clone(),
            task_id: self.key.1.clone(),
            attempts: self.refusals,
            // A wait that is the sink's fault need not outlast this process.
            not_before_ms: if self.refusals > 0 {
                self.not_before_ms
            } else {
                0
            },
            error: self.error.clone(),
        }
    }
}

impl Tasks {
    /// Returns the number of undelivered events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns how many of them failed, or wait behind one that did.
    pub(super) fn blocked(&self) -> usize {
        self.blocked
    }

    /// Returns the number of tasks whose first event failed, or that are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let mut events = self.events.values();
        events.find_map(|entry| entry.received_at_ms)
    }

    /// Returns the undelivered events by their `seq`.
    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = (u64, &Entry)> {
        self.events.iter().map(|(seq, entry)| (*seq, entry))
    }

    pub(super) fn add(&mut self, offered: Offered<'_>, now_ms: u64) {
        let event = ParkedEvent {
            seq: offered.seq,
            app_id: offered.app_id.to_owned(),
            task_id: offered.task_id.to_owned(),
            attempts: 0,
            // So it comes after those that are due already.
            not_before_ms: now_ms,
            error: String::new(),
        };
        self.insert(event, Some(offered.received_at_ms));
    }

    /// Adds an event that was parked when its state was stored.
    pub(super) fn restore(&mut self, event: ParkedEvent) {
        self.insert(event, None);
    }

    fn insert(&mut self, event: ParkedEvent, received_at_ms: Option<u64>) {
        let key = Arc::new((event.app_id, event.task_id));
        let entry = Entry {
            key: key.clone(),
            refusals: event.attempts,
            sink_failures: 0,
            not_before_ms: event.not_before_ms,
            received_at_ms,
            error: event.error,
        };
        if self.events.insert(event.seq, entry).is_none() {
            self.change(&key, |task| {
                task.events.insert(event.seq);
            });
        }
    }

    /// Starts the event that is due first, if one is due.
    pub(super) fn start(&mut self, now_ms: u64) -> Option<u64> {
        let (due_ms, seq) = *self.agenda.first()?;
        if due_ms > now_ms {
            return None;
        }
        let key = self.events.get(&seq)?.key.clone();
        self.change(&key, |task| task.in_flight = true);
        Some(seq)
    }

    /// Returns when the next event is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.agenda.first().map(|(due_ms, _)| *due_ms)
    }

    /// Ends an attempt. Returns the event as it was before.
    pub(super) fn finish(&mut self, seq: u64) -> Option<Entry> {
        let entry = self.events.get(&seq)?.clone();
        self.change(&entry.key, |task| task.in_flight = false);
        Some(entry)
    }

    /// Removes an event. Returns the ids of its application and task.
    pub(super) fn remove(&mut self, seq: u64) -> Option<(String, String)> {
        let entry = self.events.remove(&seq)?;
        self.change(&entry.key, |task| {
            task.events.remove(&seq);
        });
        let (app_id, task_id) = entry.key.as_ref();
        Some((app_id.clone(), task_id.clone()))
    }

    pub(super) fn postpone(&mut self, seq: u64, until_ms: u64) {
        self.edit(seq, |entry| entry.not_before_ms = until_ms);
    }

    pub(super) fn sink_failed(&mut self, seq: u64, until_ms: u64, error: String) {
        self.edit(seq, |entry| {
            entry.sink_failures = entry.sink_failures.saturating_add(1);
            entry.not_before_ms = until_ms;
            entry.error = error;
        });
    }

    pub(super) fn refused(&mut self, seq: u64, until_ms: u64, error: String) {
        self.edit(seq, |entry| {
            entry.refusals = entry.refusals.saturating_add(1);
            entry.sink_failures = 0;
            entry.not_before_ms = until_ms;
            entry.error = error;
        });
    }

    fn edit(&mut self, seq: u64, edit: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.events.get_mut(&seq) {
            edit(entry);
            let key = entry.key.clone();
            self.change(&key, |_| ());
        }
    }

    /// A dead letter holds a task.
    pub(super) fn hold(&mut self, app_id: &str, task_id: &str) {
        let key = Arc::new((app_id.to_owned(), task_id.to_owned()));
        self.change(&key, |task| task.dead += 1);
    }

    /// A dead letter no longer holds a task.
    pub(super) fn release(&mut self, app_id: &str, task_id: &str) {
        let key = Arc::new((app_id.to_owned(), task_id.to_owned()));
        self.change(&key, |task| task.dead = task.dead.saturating_sub(1));
    }

    /// Changes a task, and brings the agenda and the counts up to date.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Task)) {
        let task = self.tasks.entry(key.clone()).or_default();
        if task.is_blocked {
            self.blocked -= task.events.len();
            self.held -= 1;
        }
        if let Some(scheduled) = task.scheduled.take() {
            self.agenda.remove(&scheduled);
        }
        change(task);
        let first = task.events.first().copied();
        let entry = first.and_then(|seq| self.events.get(&seq));
        let is_held = task.dead > 0;
        task.is_blocked = is_held || entry.is_some_and(Entry::has_failed);
        if task.is_blocked {
            self.blocked += task.events.len();
            self.held += 1;
        }
        if let (Some(seq), Some(entry)) = (first, entry)
            && !is_held
            && !task.in_flight
        {
            let scheduled = (entry.not_before_ms, seq);
            task.scheduled = Some(scheduled);
            self.agenda.insert(scheduled);
        }
        if task.events.is_empty() && !is_held && !task.in_flight {
            self.tasks.remove(key);
        }
    }
}
