//! The tasks that are to be asked for, by urgency.

use std::collections::{BTreeMap, BTreeSet};

use super::local::TaskKey;

/// Why a task is asked for, the most urgent reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A change was not seen.
    Gap,
    /// It is open, and no event of it arrived for long.
    Silent,
    /// An answer was overtaken by a push.
    Overtaken,
    /// It was never asked for, or has just ended: its name or its progress is
    /// missing.
    Details,
    /// It is open, and its last answer is old.
    Open,
}

/// When a task is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at_ms: u64,
    pub(super) urgency: Urgency,
}

/// Tasks and when they are due. A task that is due waits in the order of urgency.
#[derive(Debug, Default)]
pub(super) struct DueQueue {
    dues: BTreeMap<TaskKey, Due>,
    later: BTreeSet<(u64, Urgency, TaskKey)>,
    /// Tasks that are due, and since when.
    now: BTreeSet<(Urgency, u64, TaskKey)>,
}

impl DueQueue {
    /// Sets when a task is due. It replaces the former time.
    pub(super) fn set(&mut self, key: TaskKey, due: Due) {
        self.remove(&key);
        self.later.insert((due.at_ms, due.urgency, key.clone()));
        self.dues.insert(key, due);
    }

    pub(super) fn contains(&self, key: &TaskKey) -> bool {
        self.dues.contains_key(key)
    }

    pub(super) fn remove(&mut self, key: &TaskKey) {
        if let Some(due) = self.dues.remove(key) {
            self.later.remove(&(due.at_ms, due.urgency, key.clone()));
            self.now.remove(&(due.urgency, due.at_ms, key.clone()));
        }
    }

    /// Removes and returns the most urgent task that is due.
    pub(super) fn pop(&mut self, now_ms: u64) -> Option<(TaskKey, Urgency)> {
        while let Some((at_ms, ..)) = self.later.first()
            && *at_ms <= now_ms
        {
            if let Some((at_ms, urgency, key)) = self.later.pop_first() {
                self.now.insert((urgency, at_ms, key));
            }
        }
        let (urgency, _, key) = self.now.pop_first()?;
        self.dues.remove(&key);
        Some((key, urgency))
    }

    /// Returns since when, or from when on, the first of all tasks is due.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let now = self.now.iter().map(|(_, at_ms, _)| *at_ms).min();
        let later = self.later.first().map(|(at_ms, ..)| *at_ms);
        now.into_iter().chain(later).min()
    }

    /// Returns when the next task is due.
    pub(super) fn next_at_ms(&self) -> Option<u64> {
        let now = self.now.first().map(|(_, at_ms, _)| *at_ms);
        now.or_else(|| self.later.first().map(|(at_ms, ..)| *at_ms))
    }

    pub(super) fn len(&self) -> usize {
        self.dues.len()
    }
}
