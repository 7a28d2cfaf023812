//! The connections that read, and the bounds that every read keeps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batchtask_journal::Error;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use crate::schema;
use crate::tasks;
use crate::values::failure;

/// How many of SQLite's instructions run between two checks of the deadline.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// A few read-only connections, opened when first needed and then kept. Each
/// read has one to itself, on a thread that may block.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, connections: usize, timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(connections.max(1)));
        Self {
            path,
            idle: Mutex::new(Vec::new()),
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
            .map_err(|_| Error::Unavailable("the journal is closed".into()))?;
        let readers = self.clone();
        let work = move || {
            let _permit = permit;
            readers.read_until(deadline, read)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Unavailable("a read of the journal was cut off".into()))?
    }

    /// Refuses new reads, and closes each connection once no read uses it.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    fn read_until<T>(
        &self,
        deadline: Instant,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let idle = self.idle().pop();
        let result = match idle {
            Some(connection) => Ok(connection),
            None => self.open(),
        }
        .and_then(|mut connection| {
            let value = read_snapshot(&mut connection, deadline, read)?;
            // Kept only after success: the connection may be the cause of an error.
            if !self.permits.is_closed() {
                self.idle().push(connection);
            }
            Ok(value)
        });
        result.map_err(|error| self.unreadable(&error))
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = schema::open_reader(&self.path)?;
        tasks::add_search(&connection)?;
        Ok(connection)
    }

    fn unreadable(&self, error: &rusqlite::Error) -> Error {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            let limit_ms = self.timeout.as_millis();
            return Error::Unavailable(format!("a read of the journal took over {limit_ms} ms"));
        }
        failure(
            &format!("journal `{}` cannot be read", self.path.display()),
            error,
        )
    }

    /// Nothing panics while the lock is held, so a poisoned one is sound.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_snapshot<T>(
    connection: &mut Connection,
    deadline: Instant,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let is_late = move || Instant::now() >= deadline;
    connection.progress_handler(INSTRUCTIONS_PER_LOOK, Some(is_late))?;
    let transaction = connection.transaction()?;
    read(&transaction)
}
