//! [`Readers`]: the connections that read, and the time limit of a read.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use batchtask_journal::Error;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use crate::limit::Limit;
use crate::schema;
use crate::tasks;
use crate::values::sqlite_error;

/// How many instructions of SQLite run between two checks of the deadline.
const INSTRUCTIONS_PER_CHECK: i32 = 10_000;
/// How long to wait for reads that were stopped. They check often, so only a disk
/// that does not respond takes longer.
const END_WAIT: Duration = Duration::from_secs(2);

/// A few read-only connections, opened on first use and then kept. Each read has
/// exclusive use of a connection, on a thread that may block.
pub(crate) struct Readers {
    path: PathBuf,
    state: Mutex<State>,
    /// Notified when a read ends, and when reads may begin again.
    changed: Condvar,
    /// Stops the running reads.
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

/// A connection, and the limit of its reads.
struct Reader {
    connection: Connection,
    limit: Limit,
}

/// No read begins until this is dropped.
pub(crate) struct Paused<'a> {
    readers: &'a Readers,
    /// Whether all reads have ended.
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

    /// Runs `read` on a snapshot of the journal. If the wait for a connection and
    /// the read together take longer than the timeout, interrupts the read and
    /// returns [`Error::Unavailable`].
    pub(crate) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let permit = tokio::time::timeout(self.timeout, self.permits.clone().acquire_owned())
            .await
            .map_err(|_| Error::Unavailable("too many reads of the journal are waiting".into()))?
            .map_err(|_| closed())?;
        let readers = self.clone();
        let work = move || {
            let _permit = permit;
            readers.read_until(deadline, read)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Unavailable("a read of the journal was aborted".into()))?
    }

    /// Prevents new reads, and waits up to `timeout` for the running ones. If
    /// `interrupt` is set, reads that still run then are stopped.
    pub(crate) fn pause(&self, timeout: Duration, interrupt: bool) -> Paused<'_> {
        self.state().paused = true;
        let mut is_quiet = self.wait_until_quiet(timeout);
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

    /// Refuses new reads, stops the running ones, and closes all connections.
    pub(crate) fn close(&self) {
        self.permits.close();
        let _paused = self.pause(Duration::ZERO, true);
        self.close_idle();
    }

    fn wait_until_quiet(&self, timeout: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), timeout, |state| state.running > 0)
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
            // Kept only after success, because the connection may be the cause of
            // an error.
            self.keep(reader);
            Ok(value)
        });
        result.map_err(|error| self.unreadable(&error, deadline))
    }

    /// Waits until reads may begin. Returns an idle connection, or `None` if there
    /// is none.
    fn begin(&self, deadline: Instant) -> Result<Option<Reader>, Error> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), timeout, |state| state.paused)
            .unwrap_or_else(PoisonError::into_inner);
        if self.permits.is_closed() {
            return Err(closed());
        }
        if state.paused {
            return Err(self.timed_out());
        }
        state.running += 1;
        Ok(state.idle.pop())
    }

    /// Keeps a connection for the next read.
    fn keep(&self, reader: Reader) {
        let mut state = self.state();
        // The purpose of a pause may be to close all connections.
        if !self.permits.is_closed() && !state.paused {
            state.idle.push(reader);
        }
    }

    fn open(&self) -> rusqlite::Result<Reader> {
        let mut connection = schema::open_reader(&self.path)?;
        let limit = Limit::new(self.stop.clone());
        tasks::add_search(&connection, limit.clone())?;
        let checked = limit.clone();
        let check = move || {
            // A long read must not hold a core while a notification waits for one.
            thread::yield_now();
            checked.has_passed()
        };
        connection.progress_handler(INSTRUCTIONS_PER_CHECK, Some(check))?;
        Ok(Reader { connection, limit })
    }

    fn unreadable(&self, error: &rusqlite::Error, deadline: Instant) -> Error {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return if Instant::now() < deadline {
                Error::Unavailable("a read was stopped for the maintenance of the journal".into())
            } else {
                self.timed_out()
            };
        }
        sqlite_error(
            &format!("journal `{}` cannot be read", self.path.display()),
            error,
        )
    }

    fn timed_out(&self) -> Error {
        let limit_ms = self.timeout.as_millis();
        Error::Unavailable(format!(
            "a read of the journal took more than {limit_ms} ms"
        ))
    }

    /// Locks the state. Nothing panics while the lock is held, so a poisoned lock
    /// can be used.
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
