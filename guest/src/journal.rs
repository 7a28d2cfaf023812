//! The `journal` import as a trait, so that the heart runs over a host's
//! journal in the component and over one in memory in tests.

use alloc::string::String;
use alloc::vec::Vec;

pub use crate::bindings::batchtask::receiver::journal::{
    Appended, Error, Event, EventFlags, HistoryPage, Nonce, QuarantinePage, Quarantined, Reject,
    StatusCount, Step, StoredEvent, Summary, Task, TaskOrder, TaskPage, TaskQuery,
};

/// What `wit/journal.wit` promises, function by function.
pub trait Journal {
    /// Makes an event durable.
    fn append(&self, event: &Event, nonce: Option<&Nonce>) -> Result<Appended, Error>;
    /// Keeps what could not be understood.
    fn quarantine(&self, reject: &Reject, nonce: Option<&Nonce>) -> Result<Appended, Error>;
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

/// The text of an error, for the operator.
pub fn error_text(error: Error) -> String {
    match error {
        Error::Unavailable(text)
        | Error::Full(text)
        | Error::Unsupported(text)
        | Error::InvalidCursor(text) => text,
    }
}
