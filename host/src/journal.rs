//! What the component's `journal` import is backed by.
//!
//! - [`Journal`]: the seam; its types are those of `wit/journal.wit`.
//! - [`sqlite`]: the embedded journal of the bundled host.

pub mod sqlite;

pub use crate::bindings::batchtask::receiver::journal::{
    Appended, Error, Event, EventFlags, HistoryPage, Nonce, QuarantinePage, Quarantined, Reject,
    StatusCount, Step, StoredEvent, Summary, Task, TaskOrder, TaskPage, TaskQuery,
};

/// A store of events. Every function does what its namesake in
/// `wit/journal.wit` promises; above all, [`append`](Journal::append) and
/// [`quarantine`](Journal::quarantine) return success only once what they were
/// given is durable.
#[async_trait::async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Makes an event durable.
    async fn append(&self, event: Event, nonce: Option<Nonce>) -> Result<Appended, Error>;

    /// Keeps what could not be understood.
    async fn quarantine(&self, reject: Reject, nonce: Option<Nonce>) -> Result<Appended, Error>;

    /// One task.
    async fn find_task(&self, app_id: String, task_id: String) -> Result<Option<Task>, Error>;

    /// A page of tasks.
    async fn list_tasks(&self, query: TaskQuery) -> Result<TaskPage, Error>;

    /// A page of a task's events.
    async fn list_history(
        &self,
        app_id: String,
        task_id: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<HistoryPage, Error>;

    /// Events in order of arrival.
    async fn follow(&self, after: u64, limit: u32, wait_ms: u32)
    -> Result<Vec<StoredEvent>, Error>;

    /// A page of the quarantine.
    async fn list_quarantine(
        &self,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<QuarantinePage, Error>;

    /// The journal at a glance.
    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error>;
}
