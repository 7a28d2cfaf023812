//! [`SqliteContent`]: a journal that is opened for a copy.
//!
//! - `rows`: reads and writes records.

mod rows;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::Error;
use batchtask_journal::copy::record::{Part, Records, Totals};
use batchtask_journal::copy::{BATCHES_WAITING, Batches, Content, Copying, Head, Place};
use batchtask_notification::hex;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::mpsc;

use crate::error::OpenError;
use crate::files;
use crate::owner::Owner;
use crate::schema;
use crate::values::sqlite_error;
use crate::{checkpoint, log_check};

/// The length of the log, in pages, at which it is copied into the database.
const CHECKPOINT_PAGES: i64 = 4096;

/// A journal that is opened for a copy. No other process can open it meanwhile. Its
/// functions block the thread that polls them.
pub struct SqliteContent {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Dropped last, when this process no longer uses the file.
    _owner: Owner,
}

impl SqliteContent {
    /// Opens the journal in the file `path`, which must exist. A journal of an earlier
    /// version is migrated.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if files::is_missing(path) {
            let path = path.to_owned();
            return Err(OpenError::Missing { path });
        }
        Self::open_or_create(path)
    }

    /// Like [`open`](Self::open), but creates the file if it is missing. Its folder must
    /// exist.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let owner = Owner::lock(path.as_ref(), Duration::ZERO)?;
        let path = owner.path().to_owned();
        files::check_mounts(&path)?;
        files::check_side_files(&path)?;
        log_check::check(&path)?;
        let connection = schema::open(&path)?;
        prepare(&connection).map_err(|cause| OpenError::sqlite(&path, cause))?;
        Ok(Self {
            path,
            connection: Mutex::new(connection),
            _owner: owner,
        })
    }

    /// Runs `work` in a transaction that writes.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let mut connection = self.connection();
        let written = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let result = work(&transaction)?;
                tie_log(&transaction)?;
                transaction.commit()?;
                Ok(result)
            });
        let message = format!("journal `{}` cannot be written", self.path.display());
        written.map_err(|error| sqlite_error(&message, &error))
    }

    /// Locks the connection. A transaction that panicked was rolled back, so a poisoned
    /// lock can be used.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SqliteContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteContent")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Empties the log of a former run, and lets SQLite itself keep the log short.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    if checkpoint::truncate(connection)? == 0 {
        schema::renumber(connection)?;
        checkpoint::truncate(connection)?;
    }
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
}

/// Writes what ties the log to its database: see `log_check`.
fn tie_log(connection: &Connection) -> rusqlite::Result<()> {
    let number: i64 = connection.pragma_query_value(None, "schema_version", |row| row.get(0))?;
    let sql = "UPDATE totals SET commits = commits + 1, schema_number = ?1";
    connection.prepare_cached(sql)?.execute([number])?;
    Ok(())
}

#[async_trait]
impl Content for SqliteContent {
    async fn head(&self) -> Result<Head, Error> {
        head(&self.connection()).map_err(|error| unreadable(&self.path, &error))
    }

    fn read(&self, part: Part, skip: u64) -> Batches {
        let (sender, batches) = mpsc::channel(BATCHES_WAITING);
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || {
            let send = |records| sender.blocking_send(Ok(records)).is_ok();
            let read = schema::open_reader(&path)
                .and_then(|connection| rows::read(&connection, part, skip, send));
            if let Err(error) = read {
                // The receiver may be gone.
                let _ = sender.blocking_send(Err(unreadable(&path, &error)));
            }
        });
        batches
    }

    async fn begin(&self, source: &str) -> Result<(), Error> {
        self.write(|connection| {
            let sql = "INSERT INTO copying (id, source, part, records) VALUES (1, ?1, ?2, 0)";
            connection.execute(sql, params![source, Place::START.part.number()])
        })
        .map(drop)
    }

    async fn add(&self, records: Records, place: Place) -> Result<(), Error> {
        self.write(|connection| {
            rows::write(connection, &records)?;
            let sql = "UPDATE copying SET part = ?1, records = ?2";
            let records = place.records.cast_signed();
            connection
                .prepare_cached(sql)?
                .execute(params![place.part.number(), records])
        })
        .map(drop)
    }

    async fn finish(&self, totals: &Totals) -> Result<(), Error> {
        self.write(|connection| finish(connection, totals))
    }
}

fn unreadable(path: &Path, error: &rusqlite::Error) -> Error {
    sqlite_error(
        &format!("journal `{}` cannot be read", path.display()),
        error,
    )
}

fn head(connection: &Connection) -> rusqlite::Result<Head> {
    let sql = "SELECT journal_id, commits, last_seq, last_received_at_ms, quarantine_dropped, \
               pruned_events, clock_ms, \
               coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'quarantine'), 0) \
               FROM totals";
    let (version, totals) = connection.query_row(sql, [], |row| {
        let (id, commits): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        let totals = Totals {
            last_seq: row.get(2)?,
            last_received_at_ms: row.get(3)?,
            quarantine_dropped: row.get(4)?,
            pruned_events: row.get(5)?,
            clock_ms: row.get(6)?,
            last_reject: row.get(7)?,
        };
        Ok((format!("{}-{commits}", hex(&id)), totals))
    })?;
    let mut counts = [0; Part::ALL.len()];
    for (part, count) in Part::ALL.into_iter().zip(&mut counts) {
        let sql = format!("SELECT count(*) FROM {}", rows::table(part));
        *count = connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))?
            .cast_unsigned();
    }
    Ok(Head {
        version,
        totals,
        counts,
        copying: copying(connection)?,
    })
}

/// Returns what an incomplete copy knows, or `None` if the journal is complete.
fn copying(connection: &Connection) -> rusqlite::Result<Option<Copying>> {
    let sql = "SELECT source, part, records FROM copying";
    connection
        .query_row(sql, [], |row| {
            let part = Part::of_number(row.get(1)?);
            let place = Place {
                part: part.ok_or(rusqlite::Error::InvalidQuery)?,
                records: row.get::<_, i64>(2)?.cast_unsigned(),
            };
            let source = row.get(0)?;
            Ok(Copying { source, place })
        })
        .optional()
}

/// Writes the totals, those of the copy and those that follow from its records.
fn finish(connection: &Connection, totals: &Totals) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE totals SET last_seq = ?1, last_received_at_ms = ?2, quarantine_dropped = ?3, \
             pruned_events = ?4, clock_ms = ?5, \
             signatures = (SELECT count(*) FROM signatures), \
             quarantine_bytes = (SELECT coalesce(sum(bytes), 0) FROM quarantine), \
             quarantine_large_bytes = \
                 (SELECT coalesce(sum(bytes), 0) FROM quarantine WHERE bytes > 16384)",
        params![
            totals.last_seq,
            totals.last_received_at_ms,
            totals.quarantine_dropped,
            totals.pruned_events,
            totals.clock_ms,
        ],
    )?;
    // SQLite has the row only once a reject was stored.
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'quarantine'", [])?;
    let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('quarantine', ?1)";
    connection.execute(sql, [totals.last_reject])?;
    connection.execute_batch(schema::FILL)?;
    connection.execute("DELETE FROM copying", [])?;
    Ok(())
}
