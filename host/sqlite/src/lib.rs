//! The embedded journal: one SQLite file, written by one process.
//!
//! | module | content |
//! |---|---|
//! | `owner` | the lock that makes one process the only writer, whatever path it uses |
//! | `files` | the paths of a journal's files, and their checks |
//! | `disk` | free bytes of the disk |
//! | `log_check` | checks that a log belongs to its database |
//! | `schema` | the tables and their versions, and the configuration of connections |
//! | `writer` | the connection that writes |
//! | `batch` | the transaction of a batch |
//! | `record` | how an entry changes the tables |
//! | `totals` | the row that every commit writes |
//! | `presence` | checks that the files are still those that were opened |
//! | `checkpoint` | keeps the write-ahead log short |
//! | `prune` | removes old tasks |
//! | `details` | what the platform tells about a task besides its events |
//! | `steady_clock` | a clock that does not run ahead |
//! | `reader` | the connections that read |
//! | `limit` | when a read must end |
//! | `tasks`, `events`, `quarantine` | the reads |
//! | `sinks` | the progress of sinks |
//! | `request_ids` | the request ids of a task |
//! | `snapshot` | copies of a database as it is, such as the one before a migration |
//! | [`copies`] | backup and restore |
//! | `content` | [`SqliteContent`]: a journal that is opened for a copy to another one |
//! | `values` | pages and errors of SQLite |
//! | `options` | [`Options`]: the bounds of a journal |
//! | `error` | [`OpenError`]: why a journal cannot be opened |
//! | `counters` | the journal's own metrics |
//!
//! # Invariants
//!
//! 1. [`commit`](Journal::commit) returns `Ok` only after the transaction of
//!    the batch was committed with `synchronous=FULL`.
//! 2. A batch is durable as a whole or not at all.
//! 3. A task's row is a function of the set of its events and of how often each
//!    arrived, whatever the order of arrival. If a digest arrives twice, the
//!    first arrival is kept.
//! 4. `seq` grows by 1 with every event, in the order in which events become
//!    visible, and is never used twice: there is one writer, and it stores the
//!    last number separately from the events, which may be pruned.
//! 5. Every entry that was answered `Ok` is in the files that the next start will
//!    find. This is checked before each commit, because the system keeps a
//!    removed file only as long as it is open.
//! 6. A log is used with its own database only: see `log_check`.
//! 7. Everything that waits or accumulates has a bound: see [`Options`].
//!
//! # Requirements on the disk
//!
//! - `fsync` returns success only when the data would survive a loss of power.
//! - It is a local disk: the index of the log is shared memory, and the lock is
//!   the system's (`flock` on the database itself).
//!
//! Torn pages and lost tails are handled. Every frame of the log has a checksum:
//! a commit with incomplete frames is ignored, and it was never acknowledged.

mod activity;
mod batch;
mod checkpoint;
mod content;
pub mod copies;
mod counters;
mod details;
mod disk;
mod error;
mod events;
mod files;
mod limit;
mod listing;
mod log_check;
mod options;
mod owner;
mod presence;
mod prune;
mod quarantine;
mod reader;
mod record;
mod request_ids;
mod schema;
mod sinks;
mod snapshot;
mod steady_clock;
mod steps;
mod tasks;
#[cfg(test)]
mod tests;
mod totals;
mod values;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::activity::ActivityRange;
use batchtask_journal::cursor::{self, EventKey};
use batchtask_journal::outbox::{Acquired, Hold, Outbox, SinkChange, SinkState};
use batchtask_journal::{
    Activity, ActivityQuery, Appended, Details, Entry, Error, HistoryPage, Journal, Measure,
    Pruned, QuarantinePage, Quarantined, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};
use rusqlite::Connection;
use tokio::sync::watch;

pub use self::content::SqliteContent;
pub use self::error::OpenError;
pub use self::options::Options;

use self::counters::Counters;
use self::listing::Listing;
use self::owner::Owner;
use self::reader::Readers;
use self::writer::Writer;

/// A journal in a SQLite file. Dropping it closes it.
///
/// [`commit`](Journal::commit), [`maintain`](Journal::maintain),
/// [`prune`](Journal::prune) and [`close`](Journal::close) block the thread that polls them.
/// [`GroupCommit`](batchtask_journal::GroupCommit) calls them on a dedicated thread.
pub struct SqliteJournal {
    path: PathBuf,
    /// `None` once the journal is closed. Shared with threads that may block.
    writer: Arc<Mutex<Option<Writer>>>,
    readers: Arc<Readers>,
    /// The greatest `seq` that is durable.
    last_seq: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

impl SqliteJournal {
    /// Opens the journal in the file `path`, and creates the file if it is
    /// missing; its folder must exist. The files `PATH-wal` and `PATH-shm` belong
    /// to it. Waits up to [`Options::lock_wait`] for another process to release
    /// the journal. Blocks while SQLite recovers the log of a crash.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not a journal, or cannot be written, is
    /// not changed.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let owner = Owner::lock(path.as_ref(), options.lock_wait)?;
        let path = owner.path().to_owned();
        files::check_mounts(&path)?;
        files::check_side_files(&path)?;
        log_check::check(&path)?;
        let counters = Arc::new(Counters::default());
        let readers = Readers::new(path.clone(), options.readers, options.read_timeout);
        let readers = Arc::new(readers);
        let (writer, last_seq) = Writer::open(owner, options, counters.clone(), readers.clone())?;
        Ok(Self {
            path,
            writer: Arc::new(Mutex::new(Some(writer))),
            readers,
            last_seq,
            counters,
        })
    }

    /// Checks whether the file `path` can be opened as a journal. Creates and
    /// migrates nothing. A journal that another process uses is accepted without
    /// further checks.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn check(path: impl AsRef<Path>) -> Result<(), OpenError> {
        let path = path.as_ref();
        if files::is_missing(path) {
            return files::check_folder(path);
        }
        let owner = match Owner::lock(path, Duration::ZERO) {
            Err(OpenError::InUse { .. }) => return Ok(()),
            owner => owner?,
        };
        let path = owner.path();
        files::check_mounts(path)?;
        files::check_side_files(path)?;
        log_check::check(path)?;
        match schema::open_former(path)? {
            Some(connection) => schema::ensure_complete(&connection, path),
            None => Ok(()),
        }
    }

    /// Returns the path of the file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Empties the log and releases the file. Blocks until that is done. A second
    /// call does nothing.
    fn shut_down(&self) {
        self.readers.close();
        if let Some(writer) = self.writer().take() {
            writer.finish();
        }
    }

    /// Runs `work` with the writer, unless the journal is closed.
    fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        with(&self.writer, work)
    }

    /// Runs `work` in a transaction beside the batches. Unlike a commit, it does not block
    /// the thread that polls it.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.change(|writer| writer.transact(work)).await
    }

    /// Runs `work` with the writer, on a thread that may block.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let writer = self.writer.clone();
        let change = move || with(&writer, work);
        let aborted = |_| Error::Unavailable("a write to the journal was aborted".into());
        tokio::task::spawn_blocking(change).await.map_err(aborted)?
    }

    fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        lock(&self.writer)
    }
}

/// Runs `work` with the writer, unless the journal is closed.
fn with<T>(
    writer: &Mutex<Option<Writer>>,
    work: impl FnOnce(&mut Writer) -> Result<T, Error>,
) -> Result<T, Error> {
    let closed = || Error::Unavailable("the journal is closed".into());
    lock(writer).as_mut().ok_or_else(closed).and_then(work)
}

/// Locks the writer. A poisoned lock can be used: a panic in the middle of a commit
/// leaves the writer without a connection, and the next commit opens another.
fn lock(writer: &Mutex<Option<Writer>>) -> MutexGuard<'_, Option<Writer>> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.shut_down();
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        self.with_writer(|writer| writer.commit(&batch))
    }

    async fn maintain(&self) -> bool {
        self.writer().as_mut().is_some_and(Writer::maintain)
    }

    async fn prune(&self, before_ms: u64) -> Result<Pruned, Error> {
        self.with_writer(|writer| writer.prune(before_ms))
    }

    async fn describe(&self, details: Vec<Details>) -> Result<(), Error> {
        self.transact(move |connection| details::store(connection, &details))
            .await
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        let (app_id, task_id) = (app_id.to_owned(), task_id.to_owned());
        self.readers
            .read(move |connection| tasks::find(connection, &app_id, &task_id))
            .await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let listing = Listing::new(query)?;
        self.readers
            .read(move |connection| listing.read(connection))
            .await
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let after = cursor.map(EventKey::decode).transpose()?;
        let (app_id, task_id) = (app_id.to_owned(), task_id.to_owned());
        self.readers
            .read(move |connection| events::history(connection, &app_id, &task_id, after, limit))
            .await
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.readers
            .read(move |connection| events::after(connection, after, limit))
            .await
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let before = cursor.map(cursor::decode_seq).transpose()?;
        self.readers
            .read(move |connection| quarantine::list(connection, before, limit))
            .await
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        self.readers
            .read(move |connection| quarantine::find(connection, seq))
            .await
    }

    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        self.change(move |writer| writer.drop_reject(seq)).await
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        let range = ActivityRange::of(query);
        self.readers
            .read(move |connection| activity::list(connection, range))
            .await
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.readers
            .read(move |connection| tasks::summarize(connection, stale_before_ms))
            .await
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn measures(&self) -> Vec<Measure> {
        self.counters.measures(&self.path)
    }

    async fn close(&self) {
        self.shut_down();
    }
}

#[async_trait]
impl Outbox for SqliteJournal {
    async fn acquire(
        &self,
        sink: &str,
        owner: &str,
        _lease: Duration,
        position: u64,
    ) -> Result<Acquired, Error> {
        let (sink, owner) = (sink.to_owned(), owner.to_owned());
        self.transact(move |connection| sinks::acquire(connection, &sink, &owner, position))
            .await
    }

    async fn renew(&self, sink: &str, fence: u64, _lease: Duration) -> Result<Hold, Error> {
        let sink = sink.to_owned();
        self.readers
            .read(move |connection| sinks::hold(connection, &sink, fence))
            .await
    }

    async fn release(&self, sink: &str, fence: u64) -> Result<Hold, Error> {
        let sink = sink.to_owned();
        self.transact(move |connection| sinks::release(connection, &sink, fence))
            .await
    }

    async fn load(&self, sink: &str) -> Result<Option<SinkState>, Error> {
        let sink = sink.to_owned();
        self.readers
            .read(move |connection| sinks::load(connection, &sink))
            .await
    }

    async fn save(&self, sink: &str, fence: u64, change: &SinkChange) -> Result<Hold, Error> {
        let (sink, change) = (sink.to_owned(), change.clone());
        self.transact(move |connection| sinks::save(connection, &sink, fence, &change))
            .await
    }
}
