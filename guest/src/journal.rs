//! The `journal` import as a trait, so that the core runs over a host's
//! journal in the component and over one in memory in tests. The bounds that
//! every journal keeps are here too.

use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::{Status, time};
use core::ops::RangeInclusive;

pub use crate::bindings::batchtask::receiver::journal::{
    Appended, Class, Error, Event, EventFlags, HistoryPage, Notice, Progress, QuarantinePage,
    Quarantined, Reject, SignatureUse, Source, StatusCount, Step, StoredEvent, Summary, Task,
    TaskOrder, TaskPage, TaskQuery,
};

/// What `wit/journal.wit` promises, function by function.
pub trait Journal {
    /// Makes an event durable.
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error>;
    /// Makes a reject durable.
    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error>;
    /// One task.
    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error>;
    /// A page of tasks.
    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error>;
    /// A page of a task's events, in order of occurrence.
    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error>;
    /// Events in order of arrival.
    fn follow(&self, after: u64, limit: u32, wait_ms: u32) -> Result<Vec<StoredEvent>, Error>;
    /// A page of the quarantine.
    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error>;
    /// The journal at a glance.
    fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error>;
}

/// The most items on a page.
pub const PAGE_ITEMS_MAX: u32 = 500;
/// A page ends with the item that reaches this many bytes.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// The most request ids that a task or an event lists.
pub const REQUEST_IDS_MAX: usize = 16;
/// A longer request id is stored with its event, but not listed; in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 1024;
/// The most steps in a task's trail.
pub const TRAIL_STEPS_MAX: usize = 64;
/// The length of a digest, in bytes: SHA-256.
pub const DIGEST_BYTES: usize = 32;
/// The length of a signature: a SHA-256 in hexadecimal.
pub const SIGNATURE_BYTES: usize = 64;

/// The ranks of the statuses in a class.
pub const fn ranks(class: Class) -> RangeInclusive<u8> {
    match class {
        Class::Open => batchtask_notification::Class::Open.ranks(),
        Class::Retryable => batchtask_notification::Class::Retryable.ranks(),
        Class::Final => batchtask_notification::Class::Final.ranks(),
    }
}

/// The name of a channel in answers.
pub const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Push => "push",
        Source::Amqp => "amqp",
        Source::Reconcile => "reconcile",
    }
}

/// Counts tasks by status for a [`Summary`], within bounds: a status may be any
/// text, and there may be as many as there are tasks. The documented ones are
/// told one by one, and so are the first others.
#[derive(Default)]
pub struct StatusCounts {
    /// In order of rank and status.
    counts: Vec<StatusCount>,
}

impl StatusCounts {
    /// Undocumented statuses beyond this many are merged.
    pub const LISTED: usize = 32;
    /// Undocumented statuses longer than this, in bytes, are merged too.
    pub const STATUS_BYTES: usize = 128;

    /// Adds tasks with one status.
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

    /// The counts, in order of rank and status; the others have no status.
    pub fn finish(self) -> Vec<StatusCount> {
        self.counts
    }
}

/// Whether an event has no time that can be read. Its place in the order is that
/// of its arrival.
pub fn is_undated(event: &Event) -> bool {
    let mut times = [&event.event_time, &event.event_time_ms]
        .into_iter()
        .flatten();
    times.all(|text| time::parse(text).is_none())
}

/// The text of an error, for the operator.
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
    fn a_few_statuses_are_told_one_by_one_in_order_of_rank() {
        let mut all = StatusCounts::default();
        for (rank, status, tasks) in [(5, "Success", 2), (2, "b", 1), (2, "a", 1), (2, "b", 3)] {
            all.add(rank, status, tasks);
        }
        assert_eq!(counts(&all), [(2, "a", 1), (2, "b", 4), (5, "Success", 2)]);
        assert_eq!(all.finish().len(), 3);
    }

    #[test]
    fn of_many_or_long_statuses_only_some_are_listed_and_no_task_is_lost() {
        let mut all = StatusCounts::default();
        all.add(2, &"x".repeat(StatusCounts::STATUS_BYTES + 1), 5);
        all.add(6, &"y".repeat(StatusCounts::STATUS_BYTES), 9);
        for number in 0..10_000_u64 {
            let status = alloc::format!("made up {}", number % 5_000);
            all.add(2, &status, 1 + number % 7);
        }
        all.add(5, "Success", 1000);
        let made_up: u64 = (0..10_000).map(|number| 1 + number % 7).sum();
        let told = all.finish();
        assert_eq!(told.len(), StatusCounts::LISTED + 1);
        let tasks = |rank, of: fn(&str) -> bool| -> u64 {
            let told = told
                .iter()
                .filter(|count| count.rank == rank && of(&count.status));
            told.map(|count| count.tasks).sum()
        };
        assert_eq!(tasks(5, |status| status == "Success"), 1000);
        assert_eq!(tasks(6, |status| !status.is_empty()), 9);
        assert_eq!(tasks(2, |_| true), made_up + 5);
        assert!(tasks(2, str::is_empty) > made_up / 2);
    }
}
