//! [`Readers`]: the connections that read, and the time limit of a read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batchtask_journal::Error;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::error::{closed, failed};
use crate::link::{Connector, Link, Parameter};

/// A few connections, opened on first use and then kept. Each read has exclusive
/// use of a connection.
pub(crate) struct Readers {
    connector: Arc<Connector>,
    idle: Mutex<Vec<Link>>,
    permits: Semaphore,
    timeout: Duration,
}

impl Readers {
    pub(crate) fn new(connector: Arc<Connector>, connections: usize, timeout: Duration) -> Self {
        Self {
            connector,
            idle: Mutex::default(),
            permits: Semaphore::new(connections.max(1)),
            timeout,
        }
    }

    /// Runs a statement, which sees one state of the journal. If the wait for a
    /// connection and the statement together take longer than the timeout, gives up
    /// the connection and returns [`Error::Unavailable`].
    pub(crate) async fn read(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        let deadline = Instant::now() + self.timeout;
        let permit = tokio::time::timeout_at(deadline.into(), self.permits.acquire())
            .await
            .map_err(|_| Error::Unavailable("too many reads of the journal are waiting".into()))?
            .map_err(|_| closed())?;
        let read = self.read_once(sql, parameters);
        let result = tokio::time::timeout_at(deadline.into(), read).await;
        drop(permit);
        result.map_err(|_| self.timed_out())?
    }

    /// Refuses new reads and closes the connections that are idle. The others are
    /// closed when their read ends.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    async fn read_once(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        // A connection may have been lost while it was idle.
        while let Some(link) = self.take_idle() {
            match link.query(sql, parameters).await {
                Err(error) if error.code().is_none() || is_shutdown(&error) => drop(link),
                result => return self.finish(link, result),
            }
        }
        let link = self.connector.connect(|_| ()).await;
        let link = link.map_err(|error| Error::Unavailable(error.to_string()))?;
        let result = link.query(sql, parameters).await;
        self.finish(link, result)
    }

    fn take_idle(&self) -> Option<Link> {
        let mut idle = self.idle();
        idle.retain(|link| !link.is_closed());
        idle.pop()
    }

    /// Keeps a connection after success only, because the connection may be the
    /// cause of an error.
    fn finish(
        &self,
        link: Link,
        result: Result<Vec<Row>, tokio_postgres::Error>,
    ) -> Result<Vec<Row>, Error> {
        match result {
            Ok(rows) => {
                let mut idle = self.idle();
                if !self.permits.is_closed() {
                    idle.push(link);
                }
                Ok(rows)
            }
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Err(self.timed_out()),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Converts an error of a statement or of its rows.
    pub(crate) fn unreadable(&self, error: &tokio_postgres::Error) -> Error {
        let database = self.connector.database();
        failed(&format!("`{database}` cannot be read"), error)
    }

    fn timed_out(&self) -> Error {
        let limit_ms = self.timeout.as_millis();
        Error::Unavailable(format!(
            "a read of the journal took more than {limit_ms} ms"
        ))
    }

    /// Locks the idle connections. Nothing panics while the lock is held, so a
    /// poisoned lock can be used.
    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the server ended the connection.
fn is_shutdown(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::CANNOT_CONNECT_NOW)
    )
}
