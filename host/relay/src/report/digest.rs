//! [`Digest`]: events as counts, and the first few tasks.

use std::collections::BTreeMap;

use batchtask_journal::StoredEvent;

use super::{TASKS_MAX, TaskLine};

/// How many statuses are counted. Further ones are counted together.
const STATUSES_MAX: usize = 12;

/// What has been collected of some events. Its size does not depend on their number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Collected {
    /// How many events.
    pub events: u64,
    /// The first and the last `seq`.
    pub seqs: (u64, u64),
    /// When the first and the last one arrived, in milliseconds since 1970.
    pub times_ms: (u64, u64),
    /// How many events have each status.
    pub statuses: BTreeMap<String, u64>,
    /// How many events have a status that is not in `statuses`.
    pub other_statuses: u64,
    /// The first tasks, with their last status.
    pub tasks: Vec<TaskLine>,
    /// How many events are of other tasks.
    pub of_other_tasks: u64,
}

/// Collects events until a message about them was accepted.
#[derive(Debug, Default)]
pub struct Digest {
    pending: Collected,
    sending: Option<Collected>,
}

impl Collected {
    fn take(&mut self, stored: &StoredEvent) {
        let event = &stored.event;
        let line = TaskLine {
            app_id: event.app_id.clone(),
            task_id: event.task_id.clone(),
            task_type: event.task_type.clone(),
            status: event.status.clone(),
            status_desc: event.status_desc.clone(),
            changes: 1,
            ..TaskLine::default()
        };
        let one = Self {
            events: 1,
            seqs: (stored.seq, stored.seq),
            times_ms: (event.received_at_ms, event.received_at_ms),
            statuses: BTreeMap::from([(event.status.clone(), 1)]),
            tasks: vec![line],
            ..Self::default()
        };
        self.append(one, stored.late);
    }

    /// Adds newer events. `is_late`: they say nothing new of the tasks.
    fn append(&mut self, newer: Self, is_late: bool) {
        if self.events == 0 {
            *self = newer;
            return;
        }
        self.events += newer.events;
        self.seqs.1 = newer.seqs.1;
        self.times_ms.1 = self.times_ms.1.max(newer.times_ms.1);
        self.other_statuses += newer.other_statuses;
        self.of_other_tasks += newer.of_other_tasks;
        for (status, count) in newer.statuses {
            if self.statuses.len() < STATUSES_MAX || self.statuses.contains_key(&status) {
                *self.statuses.entry(status).or_default() += count;
            } else {
                self.other_statuses += count;
            }
        }
        for line in newer.tasks {
            self.add_task(line, is_late);
        }
    }

    fn add_task(&mut self, line: TaskLine, is_late: bool) {
        let has_room = self.tasks.len() < TASKS_MAX;
        let mut tasks = self.tasks.iter_mut();
        let known = tasks.find(|known| known.is_of(&line.app_id, &line.task_id));
        match known {
            Some(known) if is_late => known.changes += line.changes,
            Some(known) => {
                let changes = known.changes + line.changes;
                *known = TaskLine { changes, ..line };
            }
            None if has_room => self.tasks.push(line),
            None => self.of_other_tasks += line.changes,
        }
    }
}

impl Digest {
    pub(super) fn take(&mut self, stored: &StoredEvent) {
        self.pending.take(stored);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.pending.events > 0
    }

    /// Starts a message about all that was collected.
    pub(super) fn begin(&mut self) -> Collected {
        let collected = std::mem::take(&mut self.pending);
        self.sending = Some(collected.clone());
        collected
    }

    /// The message was accepted, or not. Then the next one contains its events, too.
    pub(super) fn finish(&mut self, is_accepted: bool) {
        let sent = self.sending.take().unwrap_or_default();
        if !is_accepted {
            let newer = std::mem::replace(&mut self.pending, sent);
            if newer.events > 0 {
                self.pending.append(newer, false);
            }
        }
    }

    /// Returns the parts that are not accepted, the older one first.
    fn parts(&self) -> impl Iterator<Item = &Collected> {
        let parts = self.sending.iter().chain([&self.pending]);
        parts.filter(|part| part.events > 0)
    }

    /// Returns how many events are not accepted.
    pub(super) fn events(&self) -> u64 {
        self.parts().map(|part| part.events).sum()
    }

    /// Returns the `seq` of the first event that is not accepted.
    pub(super) fn first_seq(&self) -> Option<u64> {
        self.parts().map(|part| part.seqs.0).next()
    }

    /// Returns when the first event arrived that is not accepted.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.parts().map(|part| part.times_ms.0).next()
    }
}
