//! What the writer does if its files were removed, replaced or truncated.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use batchtask_journal::Error;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::Writer;
use crate::checkpoint;
use crate::presence::FileState;
use crate::schema;
use crate::totals::Totals;

impl Writer {
    /// Checks the files. Fails if a file was removed, replaced or truncated,
    /// unless its content could be saved.
    pub(super) fn ensure_presence(&mut self) -> Result<(), Error> {
        if let Some(text) = &self.data_loss {
            return Err(Error::Unavailable(text.clone()));
        }
        self.checked_at = Instant::now();
        // `reconnect` checks the database instead.
        if self.connection.is_none() {
            return Ok(());
        }
        let frames = self.counters.wal_frames.load(Relaxed);
        match self.presence.check(&self.owner, frames) {
            FileState::Intact => Ok(()),
            FileState::DatabaseGone => Err(self.leave_files()),
            FileState::OtherSchema if self.schema_was_changed() => {
                // The log of a crash must contain the new number too.
                self.commit_to_sqlite(&[])
                    .map(drop)
                    .map_err(|error| self.unwritable(&error))
            }
            FileState::DatabaseTruncated | FileState::OtherSchema => {
                let path = self.owner.path().display();
                let text = format!(
                    "`{path}` was truncated or overwritten while it was in use, and is damaged: \
                     stop the receiver, restore a backup with `batchtask restore`, and start the \
                     receiver again"
                );
                Err(self.give_up(text))
            }
            FileState::LogInDoubt(path) => self.rescue(&path.display().to_string()),
        }
    }

    /// Returns whether the schema was changed within the journal, for example
    /// because another program added an index. If so, accepts the new schema
    /// number.
    fn schema_was_changed(&mut self) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        connection
            .pragma_query_value(None, "schema_version", |row| row.get(0))
            .is_ok_and(|number| self.presence.renew_schema(&self.owner, number))
    }

    /// Closes the connections. The next commit opens the files again if they are
    /// back.
    fn leave_files(&mut self) -> Error {
        self.discard_connections();
        self.missing_error()
    }

    fn missing_error(&self) -> Error {
        let path = self.owner.path().display();
        Error::Unavailable(format!(
            "`{path}` was removed or replaced while it was in use: put the file back"
        ))
    }

    /// Makes all writes fail with this text until the next start.
    fn give_up(&mut self, text: String) -> Error {
        self.discard_connections();
        self.data_loss = Some(text.clone());
        Error::Unavailable(text)
    }

    /// Closes the connections that write, without a checkpoint: the files are not
    /// changed.
    fn discard_connections(&mut self) {
        let connections = [self.connection.take(), self.checkpointer.take_connection()];
        for connection in connections.into_iter().flatten() {
            let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = connection.set_db_config(option, true);
        }
    }

    /// Copies the content of the log, whose file `path` is no longer intact, into
    /// the database, and begins another log. For that, all connections of this
    /// process are closed.
    fn rescue(&mut self, path: &str) -> Result<(), Error> {
        let readers = self.readers.clone();
        let paused = readers.pause(checkpoint::READERS_WAIT, true);
        readers.close_idle();
        drop(self.checkpointer.take_connection());
        let saved = self.connection.as_ref().map(checkpoint::truncate);
        match saved {
            Some(Ok(0)) if paused.is_quiet => {}
            Some(Err(error)) => {
                let text = format!(
                    "`{path}` was truncated or removed while it was in use, and the entries that \
                     only it contained are lost ({error}): restart the receiver to use the rest \
                     of the journal, or restore a backup with `batchtask restore`"
                );
                return Err(self.give_up(text));
            }
            _ => {
                return Err(Error::Unavailable(format!(
                    "`{path}` was removed, replaced or truncated while it was in use, and its \
                     content cannot be saved while another process reads the journal: end that \
                     process"
                )));
            }
        }
        self.connection = None;
        self.counters.wal_frames.store(0, Relaxed);
        self.connection = Some(self.reconnect()?);
        tracing::error!(
            "`{path}` was removed, replaced or truncated while it was in use; nothing was lost, \
             because its content could be saved in the database"
        );
        Ok(())
    }

    /// Opens the journal again, and loads its totals.
    pub(super) fn reconnect(&mut self) -> Result<Connection, Error> {
        let path = self.owner.path();
        if !self.presence.has_database() {
            // Another file must not be used: it has other duplicates, the log does
            // not belong to it, and the readers would still read the former file.
            return Err(self.missing_error());
        }
        let mut connection =
            schema::reopen(path).map_err(|error| Error::Unavailable(error.text()))?;
        let totals = Totals::load(&connection).map_err(|error| self.unwritable(&error))?;
        checkpoint::watch(&mut connection, &self.counters)
            .map_err(|error| self.unwritable(&error))?;
        self.totals = totals;
        self.presence.renew_log();
        Ok(connection)
    }
}
