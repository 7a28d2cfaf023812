//! The embedded journal: one SQLite file, written by one process.
//!
//! | module | content |
//! |---|---|
//! | `writer` | the connection that writes, and its transactions; `record`: what an entry does |
//! | `checkpoint` | keeps the write-ahead log short |
//! | `presence` | whether the files are still those that were opened |
//! | `reader` | the connections that read |
//! | `tasks`, `events`, `quarantine` | what they read |
//! | `schema` | the file, its owner and its versions |
//! | `values` | conversions between the contract's types and those of the file |
//! | `options` | [`Options`]: the bounds of a journal |
//! | `counters` | what the journal counts about itself |
//!
//! # Invariants
//!
//! 1. [`commit`](Journal::commit) returns `Ok` only after the transaction of
//!    the batch was committed with `synchronous=FULL`.
//! 2. A batch is durable as a whole or not at all.
//! 3. A task's row is a function of the set of its events and of how often each
//!    arrived, whatever the order of arrival. Of two arrivals of one digest the
//!    first is kept.
//! 4. `seq` grows by 1 with every event, in the order in which events become
//!    visible, and is never used twice: there is one writer, and events are
//!    never deleted.
//! 5. Everything that waits or accumulates has a bound: see [`Options`].
//!
//! # What is assumed of the disk
//!
//! That `fsync` returns success only when the data would survive a loss of
//! power, and that it is a local disk: the index of the log is shared memory,
//! and the lock is the system's. Torn pages and lost tails are handled: every
//! frame of the log has a checksum, and a commit whose frames do not match
//! never happened, nor was it acknowledged.

mod checkpoint;
mod counters;
mod events;
mod options;
mod presence;
mod quarantine;
mod reader;
mod record;
mod schema;
mod tasks;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use batchtask_journal::cursor::{self, EventKey};
use batchtask_journal::{
    Appended, Entry, Error, HistoryPage, Journal, Measure, QuarantinePage, StoredEvent, Summary,
    Task, TaskPage, TaskQuery,
};
use tokio::sync::watch;

pub use self::options::Options;
pub use self::schema::OpenError;

use self::counters::Counters;
use self::reader::Readers;
use self::writer::Writer;

/// A journal in a file. Dropping it closes it.
///
/// [`commit`](Journal::commit), [`maintain`](Journal::maintain) and
/// [`close`](Journal::close) block the thread that polls them:
/// [`GroupCommit`](batchtask_journal::GroupCommit) calls them on a thread of
/// its own.
pub struct SqliteJournal {
    path: PathBuf,
    /// `None` once the journal is closed.
    running: Mutex<Option<Running>>,
    readers: Arc<Readers>,
    /// The greatest `seq` that is durable.
    last_seq: watch::Receiver<u64>,
    counters: Arc<Counters>,
}

/// What an open journal owns. The fields are dropped in this order: the writer
/// goes first, because it holds the other end of what the checkpointer waits
/// for; the lock is released last, when this process no longer uses the file.
struct Running {
    writer: Writer,
    checkpointer: JoinHandle<()>,
    lock: File,
}

impl SqliteJournal {
    /// Opens the journal in the file `path`, and creates the file if it is
    /// missing; its folder must exist. `PATH-wal` and `PATH-shm` beside it
    /// belong to it, and so does `PATH.lock`. Blocks while SQLite recovers what
    /// a crash left in the log.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not a journal is left as it is.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = schema::resolve(path.as_ref())?;
        let lock = schema::lock(&path)?;
        let counters = Arc::new(Counters::default());
        // One token: a checkpoint that is due is due once.
        let (wake, woken) = mpsc::sync_channel(1);
        let (writer, last_seq) = Writer::open(&path, options, counters.clone(), wake)?;
        let checkpointed = path.clone();
        let checkpointer = thread::Builder::new()
            .name("journal-checkpoint".into())
            .spawn(|| checkpoint::run(checkpointed, woken))
            .map_err(OpenError::Thread)?;
        let readers = Readers::new(path.clone(), options.readers, options.read_timeout);
        Ok(Self {
            path,
            running: Mutex::new(Some(Running {
                writer,
                checkpointer,
                lock,
            })),
            readers: Arc::new(readers),
            last_seq,
            counters,
        })
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Empties the log and releases the file. Blocks until that is done; does
    /// nothing the second time.
    fn shut_down(&self) {
        self.readers.close();
        let Some(running) = self.running().take() else {
            return;
        };
        running.writer.finish();
        // A thread that panicked has nothing left to finish.
        let _ = running.checkpointer.join();
        drop(running.lock);
    }

    /// A panic in the middle of a commit leaves the writer without a
    /// connection, which the next commit replaces. So a poisoned lock is sound.
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.shut_down();
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        let mut running = self.running();
        let closed = || Error::Unavailable("the journal is closed".into());
        running.as_mut().ok_or_else(closed)?.writer.commit(batch)
    }

    async fn maintain(&self) {
        if let Some(running) = self.running().as_mut() {
            running.writer.checkpoint();
        }
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        let (app_id, task_id) = (app_id.to_owned(), task_id.to_owned());
        self.readers
            .read(move |connection| tasks::find(connection, &app_id, &task_id))
            .await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let listing = tasks::Listing::new(query)?;
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

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.readers
            .read(move |connection| tasks::summarize(connection, stale_before_ms))
            .await
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }

    fn measures(&self) -> Vec<Measure> {
        self.counters.measures()
    }

    async fn close(&self) {
        self.shut_down();
    }
}
