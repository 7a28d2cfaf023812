//! The connections that read, and the bounds that every read keeps.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batchtask_journal::Error;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use crate::limit::Limit;
use crate::schema;
use crate::tasks;
use crate::values::failure;

/// How many of SQLite's instructions run between two checks of the deadline.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;
/// How long reads that were told to end may take to do so. They look often, so
/// only a disk that does not answer takes longer.
const END_WAIT: Duration = Duration::from_secs(2);

/// A few read-only connections, opened when first needed and then kept. Each
/// read has one to itself, on a thread that may block.
pub(crate) struct Readers {
    path: PathBuf,
    state: Mutex<State>,
    /// Notified when a read ends, and when reads may begin again.
    changed: Condvar,
    /// Tells the reads that run to end.
    stop: Arc<AtomicBool>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

#[derive(Default)]
struct State {
    idle: Vec<Reader>,
    running: usize,
    /// No read begins while this is set.
    paused: bool,
}

/// A connection, and what its reads look at.
struct Reader {
    connection: Connection,
    limit: Limit,
}

/// While this lives no read begins.
pub(crate) struct Paused<'a> {
    readers: &'a Readers,
    /// Whether no read runs.
    pub(crate) is_quiet: bool,
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.readers.state().paused = false;
        self.readers.changed.notify_all();
    }
}

impl Readers {
    pub(crate) fn new(path: PathBuf, connections: usize, timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(connections.max(1)));
        Self {
            path,
            state: Mutex::default(),
            changed: Condvar::new(),
            stop: Arc::default(),
            permits,
            timeout,
        }
    }

    /// Runs `read` on one snapshot of the journal. Interrupts it and returns
    /// [`Error::Unavailable`] if the wait and the read together take longer
    /// than the timeout.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let permit = tokio::time::timeout(self.timeout, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| Error::Unavailable("too many reads of the journal wait".into()))?
            .map_err(|_| closed())?;
        let readers = self.clone();
        let work = move || {
            let _permit = permit;
            readers.read_until(deadline, read)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Unavailable("a read of the journal was cut off".into()))?
    }

    /// Keeps reads from beginning, and waits up to `patience` for those that
    /// run. If `interrupt` is set, those that still run then are ended.
    pub(crate) fn pause(&self, patience: Duration, interrupt: bool) -> Paused<'_> {
        self.state().paused = true;
        let mut is_quiet = self.wait_until_quiet(patience);
        if !is_quiet && interrupt {
            self.stop.store(true, Relaxed);
            is_quiet = self.wait_until_quiet(END_WAIT);
            self.stop.store(false, Relaxed);
        }
        Paused {
            readers: self,
            is_quiet,
        }
    }

    /// Closes the connections that no read uses.
    pub(crate) fn close_idle(&self) {
        self.state().idle.clear();
    }

    /// Refuses new reads, ends those that run, and closes all connections.
    pub(crate) fn close(&self) {
        self.permits.close();
        let _paused = self.pause(Duration::ZERO, true);
        self.close_idle();
    }

    fn wait_until_quiet(&self, patience: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), patience, |state| state.running > 0)
            .unwrap_or_else(PoisonError::into_inner);
        state.running == 0
    }

    fn read_until<T>(
        &self,
        deadline: Instant,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let idle = self.begin(deadline)?;
        let _running = Running(self);
        let reader = match idle {
            Some(reader) => Ok(reader),
            None => self.open(),
        };
        let result = reader.and_then(|mut reader| {
            reader.limit.set(deadline);
            let value = read_snapshot(&mut reader.connection, read)?;
            // Kept only after success: the connection may be the cause of an
            // error.
            self.keep(reader);
            Ok(value)
        });
        result.map_err(|error| self.unreadable(&error, deadline))
    }

    /// Waits until reads may begin. Returns a connection, if one is idle.
    fn begin(&self, deadline: Instant) -> Result<Option<Reader>, Error> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), patience, |state| state.paused)
            .unwrap_or_else(PoisonError::into_inner);
        if self.permits.is_closed() {
            return Err(closed());
        }
        if state.paused {
            return Err(self.late());
        }
        state.running += 1;
        Ok(state.idle.pop())
    }

    fn keep(&self, reader: Reader) {
        let mut state = self.state();
        // A pause may have been begun to have all connections closed.
        if !self.permits.is_closed() && !state.paused {
            state.idle.push(reader);
        }
    }

    fn open(&self) -> rusqlite::Result<Reader> {
        let mut connection = schema::open_reader(&self.path)?;
        let limit = Limit::new(self.stop.clone());
        tasks::add_search(&connection, limit.clone())?;
        let looked_at = limit.clone();
        connection.progress_handler(INSTRUCTIONS_PER_LOOK, Some(move || looked_at.is_over()))?;
        Ok(Reader { connection, limit })
    }

    fn unreadable(&self, error: &rusqlite::Error, deadline: Instant) -> Error {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return if Instant::now() < deadline {
                Error::Unavailable("a read was ended, because the journal needed its log".into())
            } else {
                self.late()
            };
        }
        failure(
            &format!("journal `{}` cannot be read", self.path.display()),
            error,
        )
    }

    fn late(&self) -> Error {
        let limit_ms = self.timeout.as_millis();
        Error::Unavailable(format!("a read of the journal took over {limit_ms} ms"))
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a read as running until it is dropped.
struct Running<'a>(&'a Readers);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.changed.notify_all();
    }
}

fn closed() -> Error {
    Error::Unavailable("the journal is closed".into())
}

fn read_snapshot<T>(
    connection: &mut Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction()?;
    read(&transaction)
}
