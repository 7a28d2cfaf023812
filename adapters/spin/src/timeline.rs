//! What keys alone tell: which tasks there are, and the course of each.

use alloc::string::String;
use alloc::vec::Vec;

use crate::key::{self, EVENT, EventKey, REPEAT};

/// Keys of a bucket, in order.
pub struct Keys(pub(crate) Vec<String>);

impl Keys {
    /// Those that begin so.
    pub(crate) fn with_prefix(&self, prefix: &str) -> &[String] {
        let start = self.0.partition_point(|key| key.as_str() < prefix);
        let rest = self.0.get(start..).unwrap_or_default();
        let length = rest.partition_point(|key| key.starts_with(prefix));
        rest.get(..length).unwrap_or_default()
    }

    /// Every task that has an event.
    pub fn timelines(&self) -> impl Iterator<Item = Timeline<'_>> {
        self.with_prefix(EVENT)
            .chunk_by(|one, next| key::task_in(one) == key::task_in(next))
            .filter_map(Timeline::of)
    }

    /// One task; none when it has no event.
    pub(crate) fn timeline(&self, task: &str) -> Option<Timeline<'_>> {
        Timeline::of(self.with_prefix(&key::task_prefix(EVENT, task)))
    }

    /// The keys of a task's repetitions.
    pub(crate) fn repeats(&self, task: &str) -> &[String] {
        self.with_prefix(&key::task_prefix(REPEAT, task))
    }
}

/// The events of one task, in order.
pub struct Timeline<'a> {
    /// The greatest of them.
    pub last: EventKey<'a>,
    /// All of them.
    pub events: Vec<Entry<'a>>,
}

/// An event as its key tells it.
pub struct Entry<'a> {
    /// The key.
    pub key: &'a String,
    /// What it says.
    pub event: EventKey<'a>,
}

impl<'a> Timeline<'a> {
    /// Of the keys of one task, which are in order; none when there are none.
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

    /// The newest events, at most so many.
    pub(crate) fn tail(&self, most: usize) -> &[Entry<'a>] {
        let start = self.events.len().saturating_sub(most);
        self.events.get(start..).unwrap_or_default()
    }
}

/// One event has several places only when it is ordered by its arrival: then
/// the first of them counts.
fn without_repetitions(events: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let mut kept: Vec<Entry<'_>> = Vec::new();
    for entry in events {
        let is_known = |known: &Entry<'_>| known.event.digest == entry.event.digest;
        if !kept.iter().any(is_known) {
            kept.push(entry);
        }
    }
    kept
}
