//! The embedded journal: one SQLite file, written by one process.
//!
//! - `queue`: what waits to be written.
//! - `writer`: the one thread that writes; `record`: what a write does.
//! - `checkpoint`: keeps the write-ahead log short.
//! - `presence`: are the files still those that were opened.
//! - `reader`: the connections that read; `tasks`, `events`, `quarantine`:
//!   what they read; `cursor`: where a page ends.
//! - `schema`: the file, its owner and its versions; `values`: between the
//!   contract's types and the file's.
//! - `stats`: what the journal counts about itself.
//!
//! # Invariants
//!
//! 1. A write is answered `recorded`, `duplicate` or `replayed` only after the
//!    commit that holds it returned success with `synchronous=FULL`.
//! 2. A batch is durable as a whole or not at all; when it fails, every member
//!    is told so.
//! 3. A task's row is a function of the set of its events and of how often
//!    each arrived, whatever the order of arrival. Of two arrivals of one
//!    digest the first is kept.
//! 4. `seq` grows with every event in the order in which events become
//!    visible, and is never used twice: there is one writer, and events are
//!    never deleted.
//! 5. Everything that waits or accumulates has a bound: see [`Options`].
//!
//! # What is assumed of the disk
//!
//! That `fsync` returns success only when the data would survive a loss of
//! power, and that it is a local disk: the log's index is shared memory, and
//! the lock is the system's. Torn pages and lost tails are not assumed away:
//! every frame of the log has a checksum, and a commit whose frames do not
//! match never happened, nor was it acknowledged.

mod checkpoint;
mod cursor;
mod events;
mod presence;
mod quarantine;
mod queue;
mod reader;
mod record;
mod schema;
mod stats;
mod tasks;
#[cfg(test)]
mod tests;
mod values;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

pub use self::schema::OpenError;
pub use self::stats::{Observer, Stats};

use self::cursor::EventKey;
use self::presence::Presence;
use self::queue::{Queue, Refused};
use self::reader::Readers;
use self::record::Totals;
use self::stats::Counters;
use self::values::{CheckedEvent, CheckedNonce, CheckedReject};
use self::writer::{Bounds, Checkpoints, Job, Write, Writer};
use super::{
    Appended, Error, Event, HistoryPage, Journal, Nonce, QuarantinePage, Reject, StoredEvent,
    Summary, Task, TaskPage, TaskQuery,
};

/// The bounds of a journal.
#[derive(Clone)]
pub struct Options {
    /// How many bytes of rejects are kept: their texts, and 256 more each.
    /// The oldest go first; a reject larger than this goes at once.
    pub quarantine_max_bytes: u64,
    /// How many nonces are kept. Beyond, those that would expire next are
    /// forgotten: refusing a notification would lose it, whereas one that is
    /// replayed is still found to be a duplicate.
    pub nonces_max: u64,
    /// How many writes may wait for the writer.
    pub queue_max_writes: usize,
    /// How many bytes may wait for the writer.
    pub queue_max_bytes: usize,
    /// How long a write may take, waiting included, until its caller is told
    /// that the journal is unavailable. It may still become durable later.
    pub append_timeout: Duration,
    /// How many reads happen at a time, each with a connection of its own.
    pub readers: usize,
    /// How long a read may take, waiting included.
    pub read_timeout: Duration,
    /// Below how many free bytes on its disk nothing more is written; 0 for
    /// none but what the disk itself says.
    pub min_free_bytes: u64,
    /// Hears of every commit.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quarantine_max_bytes: 16 * 1024 * 1024,
            nonces_max: 1_000_000,
            queue_max_writes: 4096,
            queue_max_bytes: 64 * 1024 * 1024,
            append_timeout: Duration::from_secs(8),
            readers: 4,
            read_timeout: Duration::from_secs(5),
            min_free_bytes: 0,
            observer: None,
        }
    }
}

/// How many may wait for the next event at once.
const FOLLOWERS_MAX: usize = 16;

/// A journal in a file.
///
/// Dropping it does what [`close`](Self::close) does.
pub struct SqliteJournal {
    path: PathBuf,
    queue: Arc<Queue<Job>>,
    queue_max_bytes: usize,
    append_timeout: Duration,
    readers: Arc<Readers>,
    /// The greatest `seq` that is durable.
    last_seq: watch::Receiver<u64>,
    counters: Arc<Counters>,
    /// One permit for each who may wait for the next event.
    waiting: Semaphore,
    /// Emptied when the journal is closed. The lock is released last, when
    /// nothing of this process touches the file any more.
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
    _lock: File,
}

impl SqliteJournal {
    /// Opens the journal in the file `path`, which is made if it is missing;
    /// its folder must exist. Beside it are `PATH-wal` and `PATH-shm`, which
    /// belong to it, and `PATH.lock`. Blocks for as long as SQLite recovers
    /// what a crash left in the log.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is no journal is left as it is.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = schema::resolve(path.as_ref())?;
        let lock = schema::lock(&path)?;
        let mut connection = schema::open(&path)?;
        let counters = Arc::new(Counters::default());
        let start = prepare(&mut connection, &counters).map_err(|source| OpenError::Sqlite {
            path: path.clone(),
            source,
        })?;
        let (last_seq_sender, last_seq) = watch::channel(start.last_seq);
        let queue = Arc::new(Queue::new(
            options.queue_max_writes,
            options.queue_max_bytes,
        ));
        // One token: a checkpoint that is due is due once.
        let (wake, woken) = mpsc::sync_channel(1);
        let writer = Writer {
            presence: Presence::of(&path).map_err(|source| OpenError::Folder {
                folder: path.parent().unwrap_or(Path::new("/")).to_owned(),
                source,
            })?,
            path: path.clone(),
            queue: queue.clone(),
            connection: Some(connection),
            totals: start.totals,
            bounds: Bounds {
                quarantine_max_bytes: options.quarantine_max_bytes,
                nonces_max: options.nonces_max,
                min_free_bytes: options.min_free_bytes,
            },
            counters: counters.clone(),
            observer: options.observer,
            last_seq: last_seq_sender,
            checkpointer: wake,
            checkpoints: Checkpoints::default(),
        };
        let checkpointed = path.clone();
        let running = Running {
            checkpointer: spawn("journal-checkpoint", || {
                checkpoint::run(checkpointed, woken)
            })?,
            writer: spawn("journal-writer", || writer.run())?,
            _lock: lock,
        };
        let readers = Readers::new(path.clone(), options.readers, options.read_timeout);
        Ok(Self {
            path,
            queue,
            queue_max_bytes: options.queue_max_bytes,
            append_timeout: options.append_timeout,
            readers: Arc::new(readers),
            last_seq,
            counters,
            waiting: Semaphore::new(FOLLOWERS_MAX),
            running: Mutex::new(Some(running)),
        })
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a small write durable, the same way as an event.
    ///
    /// # Errors
    /// Those of an append now.
    pub async fn probe(&self) -> Result<(), Error> {
        self.write(Write::Probe).await.map(drop)
    }

    /// What the journal counts about itself. Takes no time worth counting.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.queue.len())
    }

    /// Refuses what comes from now on, makes durable what waits, answers it,
    /// and empties the log. Blocks until that is done; does nothing the
    /// second time.
    pub fn close(&self) {
        self.queue.close();
        self.readers.close();
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(running) = running else { return };
        // A thread that panicked has nothing left to finish. The writer goes
        // first: it holds the other end of what the checkpointer waits on.
        let _ = running.writer.join();
        let _ = running.checkpointer.join();
    }

    /// Queues a write and waits for its answer.
    async fn write(&self, write: Write) -> Result<Appended, Error> {
        let bytes = write.bytes();
        if bytes > self.queue_max_bytes {
            let limit = self.queue_max_bytes;
            return Err(Error::Unsupported(format!(
                "{bytes} bytes are more than {limit}"
            )));
        }
        let (reply, answer) = oneshot::channel();
        self.queue
            .push(Job { write, reply }, bytes)
            .map_err(|refused| match refused {
                Refused::Full => Error::Unavailable("too many writes wait for the journal".into()),
                Refused::Closed => Error::Unavailable("the journal is closed".into()),
            })?;
        match tokio::time::timeout(self.append_timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Unavailable("the journal's writer has ended".into())),
            Err(_) => {
                let limit_ms = self.append_timeout.as_millis();
                Err(Error::Unavailable(format!(
                    "the journal took over {limit_ms} ms"
                )))
            }
        }
    }
}

impl Drop for SqliteJournal {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the writer starts from.
struct Start {
    totals: Totals,
    last_seq: u64,
}

fn prepare(connection: &mut Connection, counters: &Arc<Counters>) -> rusqlite::Result<Start> {
    checkpoint::watch(connection, counters)?;
    let totals = Totals::load(connection)?;
    counters.adopt(&totals);
    Ok(Start {
        totals,
        last_seq: record::last_seq(connection)?,
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(OpenError::Thread)
}

#[async_trait::async_trait]
impl Journal for SqliteJournal {
    async fn append(&self, event: Event, nonce: Option<Nonce>) -> Result<Appended, Error> {
        let event = CheckedEvent::new(event)?;
        let nonce = nonce.map(CheckedNonce::new).transpose()?;
        self.write(Write::Event(event, nonce)).await
    }

    async fn quarantine(&self, reject: Reject, nonce: Option<Nonce>) -> Result<Appended, Error> {
        let reject = CheckedReject::new(reject)?;
        let nonce = nonce.map(CheckedNonce::new).transpose()?;
        self.write(Write::Reject(reject, nonce)).await
    }

    async fn find_task(&self, app_id: String, task_id: String) -> Result<Option<Task>, Error> {
        self.readers
            .read(move |connection| tasks::find(connection, &app_id, &task_id))
            .await
    }

    async fn list_tasks(&self, query: TaskQuery) -> Result<TaskPage, Error> {
        let listing = tasks::Listing::new(query)?;
        self.readers
            .read(move |connection| listing.read(connection))
            .await
    }

    async fn list_history(
        &self,
        app_id: String,
        task_id: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let after = cursor.as_deref().map(EventKey::decode).transpose()?;
        self.readers
            .read(move |connection| events::history(connection, &app_id, &task_id, after, limit))
            .await
    }

    async fn follow(
        &self,
        after: u64,
        limit: u32,
        wait_ms: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        // What is waited for is a state, not a signal: an event that commits
        // before the wait begins ends it at once.
        let mut last_seq = self.last_seq.clone();
        let wait = Duration::from_millis(wait_ms.into());
        let arrived = last_seq.wait_for(|last_seq| *last_seq > after);
        // Whoever waits holds an instance, which a notification may need: one
        // too many does not wait.
        let permit = self.waiting.try_acquire();
        let wait = permit.as_ref().map_or(Duration::ZERO, |_| wait);
        if !matches!(tokio::time::timeout(wait, arrived).await, Ok(Ok(_))) {
            // Nothing yet, or never again: the journal is being closed.
            return Ok(Vec::new());
        }
        self.readers
            .read(move |connection| events::follow(connection, after, limit))
            .await
    }

    async fn list_quarantine(
        &self,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let before = cursor.as_deref().map(cursor::decode_seq).transpose()?;
        self.readers
            .read(move |connection| quarantine::list(connection, before, limit))
            .await
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.readers
            .read(move |connection| tasks::summarize(connection, stale_before_ms))
            .await
    }
}
