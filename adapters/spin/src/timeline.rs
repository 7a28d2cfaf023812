//! Reads the tasks and their events from keys, without values.

use alloc::string::String;
use alloc::vec::Vec;

use crate::key::{self, EVENT, EventKey, REPEAT};

/// Keys of a bucket, in order.
pub struct Keys(pub(crate) Vec<String>);

impl Keys {
    /// Returns the keys with this prefix.
    pub(crate) fn with_prefix(&self, prefix: &str) -> &[String] {
        let start = self.0.partition_point(|key| key.as_str() < prefix);
        let rest = self.0.get(start..).unwrap_or_default();
        let length = rest.partition_point(|key| key.starts_with(prefix));
        rest.get(..length).unwrap_or_default()
    }

    /// Returns the timeline of every task that has an event.
    pub fn timelines(&self) -> impl Iterator<Item = Timeline<'_>> {
        self.with_prefix(EVENT)
            .chunk_by(|one, next| key::task_in(one) == key::task_in(next))
            .filter_map(Timeline::of)
    }

    /// Returns the timeline of one task, or `None` if it has no event.
    pub(crate) fn timeline(&self, task: &str) -> Option<Timeline<'_>> {
        Timeline::of(self.with_prefix(&key::task_prefix(EVENT, task)))
    }

    /// Returns the keys of a task's repetitions.
    pub(crate) fn repeats(&self, task: &str) -> &[String] {
        self.with_prefix(&key::task_prefix(REPEAT, task))
    }
}

/// The events of one task, in order.
pub struct Timeline<'a> {
    /// The greatest event.
    pub last: EventKey<'a>,
    /// All events.
    pub events: Vec<Entry<'a>>,
}

/// The key of an event.
pub struct Entry<'a> {
    /// The key.
    pub key: &'a String,
    /// The parsed key.
    pub event: EventKey<'a>,
}

impl<'a> Timeline<'a> {
    /// Returns the timeline of a task from its sorted keys, or `None` if there
    /// are no events.
    fn of(keys: &'a [String]) -> Option<Self> {
        let mut events: Vec<Entry<'a>> = Vec::new();
        for key in keys {
            if let Some(event) = EventKey::parse(key) {
                events.push(Entry { key, event });
            }
        }
        if events.iter().any(|entry| entry.event.by_arrival) {
            events = without_repetitions(events);
        }
        let last = events.last()?.event;
        Some(Self { last, events })
    }

    /// Returns the newest events, at most `count_max`.
    pub(crate) fn tail(&self, count_max: usize) -> &[Entry<'a>] {
        let start = self.events.len().saturating_sub(count_max);
        self.events.get(start..).unwrap_or_default()
    }
}

/// Removes repeated events. Only an event that is ordered by its arrival can be
/// there several times; the first one is kept.
fn without_repetitions(events: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let mut unique: Vec<Entry<'_>> = Vec::new();
    for entry in events {
        let is_same = |other: &Entry<'_>| other.event.digest == entry.event.digest;
        if !unique.iter().any(is_same) {
            unique.push(entry);
        }
    }
    unique
}
