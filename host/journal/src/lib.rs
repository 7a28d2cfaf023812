//! The native side of the journal: what a host needs to store events, whatever
//! the store is.
//!
//! | module | content |
//! |---|---|
//! | `journal` | [`Journal`]: the trait of every backend, and the rules that a backend must keep |
//! | `entry` | [`Entry`]: something to make durable, and its validation |
//! | `details` | [`Details`]: what the platform tells about a task besides its events |
//! | `bounds` | [`Bounds`] and the constants that every backend keeps |
//! | [`outbox`] | [`Outbox`](outbox::Outbox): how far events were passed on to sinks |
//! | `quarantine` | [`Shares`]: how small and large rejects share the quarantine |
//! | `signature` | [`SignatureStatus`]: whether a signature may be used |
//! | [`group_commit`] | [`GroupCommit`]: joins waiting entries into batches, in front of every backend; lets readers of the feed wait |
//! | `commit_span` | a commit in the traces of the requests that it belongs to |
//! | `queue` | the entries that wait for group commit |
//! | `stats` | [`Stats`] and [`Observer`]: the counts of group commit |
//! | [`page`] | [`Page`](page::Page): decides where a page ends |
//! | [`cursor`] | where the next page begins |
//! | [`search`] | [`SearchText`](search::SearchText): searches for a text in a task |
//! | [`stored`] | values of the contract as numbers of a database |
//! | [`mod@copy`] | copies the whole content of a journal to another one |
//! | [`memory`] | [`MemoryJournal`]: a complete journal in memory, for tests |
//! | `conformance` | the tests that every journal must pass (feature `conformance`) |
//!
//! The types of events, tasks and pages are those of [`batchtask_guest::journal`],
//! generated from `wit/journal.wit`. This crate re-exports them.
//!
//! ```
//! use std::sync::Arc;
//! use batchtask_journal::{Entry, GroupCommit, MemoryJournal, group_commit};
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let journal = Arc::new(MemoryJournal::default());
//! let commits = GroupCommit::new(journal, group_commit::Options::default(), None)?;
//! commits.write(Entry::Probe).await?;
//! commits.close();
//! # Ok(()) }
//! ```

pub mod activity;
mod bounds;
mod commit_span;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod copy;
pub mod cursor;
mod details;
mod entry;
pub mod group_commit;
mod journal;
pub mod list;
pub mod memory;
pub mod outbox;
pub mod page;
mod quarantine;
mod queue;
pub mod search;
mod signature;
mod stats;
pub mod stored;

pub use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Class, Error, Event, EventFlags, FailedDevice, HistoryPage,
    Notice, Policy, Progress, QuarantinePage, Quarantined, Reject, SignatureUse, Sinks, Source,
    StatusCount, StatusCounts, Step, StepFlags, StoredEvent, Summary, Task, TaskCount, TaskOrder,
    TaskPage, TaskQuery, TaskSort, error_text, is_retryable,
};

pub use self::bounds::{Bounds, LISTED_REQUEST_ID_BYTES_MAX, TRAIL_BYTES_MAX};
pub use self::details::{Details, StoredDetails};
pub use self::entry::{Entry, placed_at_ms};
pub use self::group_commit::GroupCommit;
pub use self::journal::{Journal, Measure, MeasureKind, Pruned};
pub use self::memory::MemoryJournal;
pub use self::quarantine::{RejectSize, SMALL_REJECT_BYTES_MAX, Shares};
pub use self::signature::SignatureStatus;
pub use self::stats::{Observer, Stats};
