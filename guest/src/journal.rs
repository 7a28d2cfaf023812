//! The `journal` interface as a trait, so that the core can use the journal of
//! a host or an adapter, and in tests a journal in memory. The bounds that
//! apply to every journal are here too.

use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::{Status, Step as StepKind, step, time};
use core::ops::RangeInclusive;

pub use crate::bindings::batchtask::receiver::journal::{
    Activity, ActivityQuery, Appended, Class, Error, Event, EventFlags, FailedDevice, HistoryPage,
    Notice, Policy, Progress, QuarantinePage, Quarantined, Reject, SignatureUse, Sinks, Source,
    StatusCount, Step, StepFlags, StoredEvent, Summary, Task, TaskCount, TaskOrder, TaskPage,
    TaskQuery, TaskSort,
};

/// The functions of `wit/journal.wit`, which documents them.
pub trait Journal {
    /// Why the journal cannot be read, if it only stores. Then reads are answered 501
    /// with this text, and the component contains no pages.
    const UNREADABLE: Option<&'static str> = None;

    /// Stores an event, and returns when it is durable.
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error>;
    /// Stores a reject, and returns when it is durable.
    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error>;
    /// Returns one task, or `None` if the journal has no event of it.
    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error>;
    /// Returns a page of tasks.
    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error>;
    /// Returns a page of a task's events, in order of occurrence.
    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error>;
    /// Returns events in order of arrival, and waits for one if there is none.
    fn follow(&self, after: u64, limit: u32, wait_ms: u32) -> Result<Vec<StoredEvent>, Error>;
    /// Returns a page of the quarantine, newest first.
    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error>;
    /// Returns a reject, or `None` if no reject has this number.
    fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error>;
    /// Returns what arrived during each span in which something arrived.
    fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error>;
    /// Returns an overview of the journal.
    fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error>;
}

/// A journal that only stores. It is a [`Journal`] that cannot be read.
pub trait Store {
    /// Why it cannot be read.
    const UNREADABLE: &'static str;

    /// See [`Journal::append`].
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error>;
    /// See [`Journal::quarantine`].
    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error>;
}

fn unreadable<S: Store, T>() -> Result<T, Error> {
    Err(Error::Unsupported(S::UNREADABLE.into()))
}

impl<S: Store> Journal for S {
    const UNREADABLE: Option<&'static str> = Some(S::UNREADABLE);

    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        Store::append(self, event, signature)
    }

    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        Store::quarantine(self, reject, signature)
    }

    fn find_task(&self, _: &str, _: &str) -> Result<Option<Task>, Error> {
        unreadable::<S, _>()
    }

    fn list_tasks(&self, _: &TaskQuery) -> Result<TaskPage, Error> {
        unreadable::<S, _>()
    }

    fn list_history(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: u32,
    ) -> Result<HistoryPage, Error> {
        unreadable::<S, _>()
    }

    fn follow(&self, _: u64, _: u32, _: u32) -> Result<Vec<StoredEvent>, Error> {
        unreadable::<S, _>()
    }

    fn list_quarantine(&self, _: Option<&str>, _: u32) -> Result<QuarantinePage, Error> {
        unreadable::<S, _>()
    }

    fn find_reject(&self, _: u64) -> Result<Option<Quarantined>, Error> {
        unreadable::<S, _>()
    }

    fn list_activity(&self, _: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        unreadable::<S, _>()
    }

    fn summarize(&self, _: u64) -> Result<Summary, Error> {
        unreadable::<S, _>()
    }
}

/// The greatest number of items on a page, and of spans of activity.
pub const PAGE_ITEMS_MAX: u32 = 500;
/// The greatest number of tasks that a list counts.
pub const TASKS_COUNTED_MAX: u32 = 10_000;
/// The number of characters of a status by which tasks are sorted.
pub const STATUS_SORT_CHARS: usize = 32;
/// The number of characters of an id by which tasks are sorted.
pub const ID_SORT_CHARS: usize = 64;
/// A minute, in milliseconds: the shortest span of activity.
pub const MINUTE_MS: u64 = 60_000;
/// An hour, in milliseconds: longer spans of activity consist of whole hours.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// A page ends with the item that makes it at least this long, in bytes.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// The greatest number of request ids that a task or an event lists.
pub const REQUEST_IDS_MAX: usize = 16;
/// The greatest length of a listed request id, in bytes. A longer one is only
/// stored with its event.
pub const REQUEST_ID_BYTES_MAX: usize = 1024;
/// The greatest number of steps in a task's trail, and of events whose steps are
/// flagged.
pub const TRAIL_STEPS_MAX: usize = 64;
/// The greatest number of failed devices that a task lists.
pub const FAILED_DEVICES_MAX: usize = 20;
/// The length of a digest, in bytes: SHA-256.
pub const DIGEST_BYTES: usize = 32;
/// The length of a signature, in bytes: a SHA-256 in hexadecimal.
pub const SIGNATURE_BYTES: usize = 64;

impl TaskQuery {
    /// Returns the query of all tasks, the last changed first, with the greatest
    /// limit.
    pub fn all() -> Self {
        Self {
            statuses: Vec::new(),
            classes: Vec::new(),
            task_types: Vec::new(),
            app_ids: Vec::new(),
            flags: EventFlags::empty(),
            steps: StepFlags::empty(),
            stale_before_ms: None,
            text: None,
            since_ms: None,
            until_ms: None,
            sort: TaskSort::Changed,
            order: TaskOrder::Descending,
            cursor: None,
            limit: PAGE_ITEMS_MAX,
            count: false,
        }
    }

    /// Whether the query selects tasks by their flags or steps.
    pub fn has_flags(&self) -> bool {
        self.flags != EventFlags::empty() || self.steps != StepFlags::empty()
    }
}

/// Returns the flag of the step from one status of a task to the next.
pub fn step_flag(previous: Option<&str>, next: &str) -> StepFlags {
    match step(previous.map(Status::of), Status::of(next)) {
        StepKind::Usual => StepFlags::empty(),
        StepKind::Gap => StepFlags::GAP,
        StepKind::Reopened => StepFlags::REOPENED,
        StepKind::Unexpected => StepFlags::UNEXPECTED_STEP,
    }
}

/// Returns the flags of a task's steps. `statuses` are those of its last events,
/// the last one first: at least one more than [`TRAIL_STEPS_MAX`], or all of them.
pub fn step_flags<'a>(statuses: impl IntoIterator<Item = &'a str>) -> StepFlags {
    let mut statuses = statuses.into_iter().peekable();
    let mut flags = StepFlags::empty();
    for _ in 0..TRAIL_STEPS_MAX {
        let Some(status) = statuses.next() else { break };
        flags = flags | step_flag(statuses.peek().copied(), status);
    }
    flags
}

/// Returns the ranks of the statuses in a class.
pub const fn ranks(class: Class) -> RangeInclusive<u8> {
    match class {
        Class::Open => batchtask_notification::Class::Open.ranks(),
        Class::Retryable => batchtask_notification::Class::Retryable.ranks(),
        Class::Final => batchtask_notification::Class::Final.ranks(),
    }
}

/// Returns the name of a channel, as answers contain it.
pub const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Push => "push",
        Source::Amqp => "amqp",
        Source::Reconcile => "reconcile",
    }
}

/// Counts tasks by status for a [`Summary`]. It limits the number of statuses,
/// because a status may be any text. All documented statuses are listed, and as
/// many of the others as fit; the rest is merged, by rank.
#[derive(Default)]
pub struct StatusCounts {
    /// In order of rank and status.
    counts: Vec<StatusCount>,
}

impl StatusCounts {
    /// When this many statuses are listed, further undocumented ones are
    /// merged.
    pub const LISTED: usize = 32;
    /// Undocumented statuses longer than this, in bytes, are always merged.
    pub const STATUS_BYTES: usize = 128;

    /// Adds a number of tasks with one status.
    pub fn add(&mut self, rank: u8, status: &str, tasks: u64) {
        let place = (rank, status);
        let found = self
            .counts
            .binary_search_by(|count| (count.rank, count.status.as_str()).cmp(&place));
        let has_room = self.counts.len() < Self::LISTED && status.len() <= Self::STATUS_BYTES;
        match found {
            Ok(at) => {
                if let Some(count) = self.counts.get_mut(at) {
                    count.tasks = count.tasks.saturating_add(tasks);
                }
            }
            Err(at) if has_room || status.is_empty() || Status::of(status) != Status::Unknown => {
                let status = status.into();
                let count = StatusCount {
                    status,
                    rank,
                    tasks,
                };
                self.counts.insert(at, count);
            }
            Err(_) => self.add(rank, "", tasks),
        }
    }

    /// Returns the counts, in order of rank and status. The status of merged
    /// counts is empty.
    pub fn finish(self) -> Vec<StatusCount> {
        self.counts
    }
}

/// Whether an event has no time that can be read, so that it is ordered by its
/// arrival.
pub fn is_undated(event: &Event) -> bool {
    let mut times = [&event.event_time, &event.event_time_ms]
        .into_iter()
        .flatten();
    times.all(|text| time::parse(text).is_none())
}

/// Returns the text of an error, for the operator.
pub fn error_text(error: Error) -> String {
    match error {
        Error::Unavailable(text)
        | Error::Full(text)
        | Error::Unsupported(text)
        | Error::InvalidCursor(text) => text,
    }
}

/// Whether the same call may succeed later.
pub const fn is_retryable(error: &Error) -> bool {
    match error {
        Error::Unavailable(_) | Error::Full(_) => true,
        Error::Unsupported(_) | Error::InvalidCursor(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &StatusCounts) -> Vec<(u8, &str, u64)> {
        let counts = all.counts.iter();
        counts
            .map(|count| (count.rank, count.status.as_str(), count.tasks))
            .collect()
    }

    #[test]
    fn a_few_statuses_are_listed_in_order_of_rank() {
        let mut all = StatusCounts::default();
        for (rank, status, tasks) in [(5, "Success", 2), (2, "b", 1), (2, "a", 1), (2, "b", 3)] {
            all.add(rank, status, tasks);
        }
        assert_eq!(counts(&all), [(2, "a", 1), (2, "b", 4), (5, "Success", 2)]);
        assert_eq!(all.finish().len(), 3);
    }

    #[test]
    fn many_or_long_statuses_are_merged_and_every_task_is_counted() {
        let mut all = StatusCounts::default();
        all.add(2, &"x".repeat(StatusCounts::STATUS_BYTES + 1), 5);
        all.add(6, &"y".repeat(StatusCounts::STATUS_BYTES), 9);
        for number in 0..10_000_u64 {
            let status = alloc::format!("made up {}", number % 5_000);
            all.add(2, &status, 1 + number % 7);
        }
        all.add(5, "Success", 1000);
        let made_up: u64 = (0..10_000).map(|number| 1 + number % 7).sum();
        let counts = all.finish();
        assert_eq!(counts.len(), StatusCounts::LISTED + 1);
        let tasks = |rank, matches: fn(&str) -> bool| -> u64 {
            let matching = counts
                .iter()
                .filter(|count| count.rank == rank && matches(&count.status));
            matching.map(|count| count.tasks).sum()
        };
        assert_eq!(tasks(5, |status| status == "Success"), 1000);
        assert_eq!(tasks(6, |status| !status.is_empty()), 9);
        assert_eq!(tasks(2, |_| true), made_up + 5);
        assert!(tasks(2, str::is_empty) > made_up / 2);
    }
}
