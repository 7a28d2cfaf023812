//! The connections that read, and the bounds that every read keeps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Semaphore;

use super::schema;
use super::values::failure;
use crate::journal::Error;

/// The most items on a page.
const MAX_PAGE_ITEMS: u32 = 500;
/// A page ends with the item that reaches this.
const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// How many of SQLite's instructions pass between looks at the clock.
const INSTRUCTIONS_PER_LOOK: i32 = 10_000;

/// A few read-only connections, opened when first needed and then kept. Each
/// read has one to itself, on a thread that may block.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl Readers {
    pub(super) fn new(path: PathBuf, connections: usize, timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(connections.max(1)));
        Self {
            path,
            idle: Mutex::new(Vec::new()),
            permits,
            timeout,
        }
    }

    /// Runs `read` on one snapshot of the journal. It is interrupted, and the
    /// journal unavailable, when waiting and reading take longer than the
    /// timeout.
    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, Error>
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

    /// Closes the connections once no read uses them, and refuses new reads.
    pub(super) fn close(&self) {
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
            None => schema::open_reader(&self.path),
        }
        .and_then(|mut connection| {
            let value = read_snapshot(&mut connection, deadline, read)?;
            // Kept only after success: an error may be the connection's.
            if !self.permits.is_closed() {
                self.idle().push(connection);
            }
            Ok(value)
        });
        result.map_err(|error| self.unreadable(&error))
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

/// Collects items until there are enough of them, or enough bytes.
pub(super) struct Page<T> {
    items: Vec<T>,
    bytes: usize,
    limit: usize,
    more: bool,
}

impl<T> Page<T> {
    /// Of at most `limit` items, if that is 1 to 500.
    pub(super) fn new(limit: u32) -> Self {
        let limit = limit.clamp(1, MAX_PAGE_ITEMS) as usize;
        Self {
            items: Vec::new(),
            bytes: 0,
            limit,
            more: false,
        }
    }

    /// Whether the page takes no more items. Asked when there is one more.
    pub(super) fn is_full(&mut self) -> bool {
        self.more = self.items.len() >= self.limit || self.bytes >= MAX_PAGE_BYTES;
        self.more
    }

    pub(super) fn push(&mut self, item: T, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    /// How many rows a query must give: one more tells that a page follows.
    pub(super) fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// The items, and the cursor of the last of them if more follow.
    pub(super) fn finish(self, cursor: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
        let next = self.items.last().filter(|_| self.more).map(cursor);
        (self.items, next)
    }
}
