//! What the writer does when its files are not as it left them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use batchtask_journal::Error;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::Writer;
use crate::checkpoint;
use crate::presence::Found;
use crate::schema;
use crate::totals::Totals;

impl Writer {
    /// Fails if a file was removed, replaced or cut, unless what was in it can
    /// be saved.
    pub(super) fn ensure_presence(&mut self) -> Result<(), Error> {
        if let Some(lost) = &self.lost {
            return Err(Error::Unavailable(lost.clone()));
        }
        self.looked_at = Instant::now();
        // Without a connection there is no log.
        if self.connection.is_none() {
            return Ok(());
        }
        let frames = self.counters.wal_frames.load(Relaxed);
        match self.presence.look(&self.owner, frames) {
            Found::Intact => Ok(()),
            Found::DatabaseGone => Err(self.part()),
            Found::OtherSchema if self.schema_was_changed() => {
                // The log of a crash must say so too.
                self.commit_to_sqlite(&[])
                    .map(drop)
                    .map_err(|error| self.unwritable(&error))
            }
            Found::DatabaseCut | Found::OtherSchema => {
                let path = self.owner.path().display();
                let text = format!(
                    "`{path}` was cut or overwritten while it was in use, and is damaged: stop \
                     the receiver, put a backup in its place with `batchtask restore`, and start \
                     it again"
                );
                Err(self.lose(text))
            }
            Found::LogInDoubt(path) => self.rescue(&path.display().to_string()),
        }
    }

    /// Whether the schema on the disk is that of the journal: another program
    /// may have added an index.
    fn schema_was_changed(&mut self) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        connection
            .pragma_query_value(None, "schema_version", |row| row.get(0))
            .is_ok_and(|number| self.presence.renew_schema(&self.owner, number))
    }

    /// Leaves the files, which may come back.
    fn part(&mut self) -> Error {
        self.discard_connections();
        self.gone()
    }

    fn gone(&self) -> Error {
        let path = self.owner.path().display();
        Error::Unavailable(format!(
            "`{path}` was removed or replaced while it was in use: put it back"
        ))
    }

    /// Writes nothing more until the next start.
    fn lose(&mut self, text: String) -> Error {
        self.discard_connections();
        self.lost = Some(text.clone());
        Error::Unavailable(text)
    }

    /// Closes the connections that write, and leaves the files as they are.
    fn discard_connections(&mut self) {
        let connections = [self.connection.take(), self.checkpointer.take_connection()];
        for connection in connections.into_iter().flatten() {
            let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = connection.set_db_config(option, true);
        }
    }

    /// Saves the content of a log, which `path` no longer leads to, in the
    /// database, and begins another log. All connections of this process must
    /// be closed for that.
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
                    "`{path}` was cut or removed while it was in use, and what it had beyond the \
                     database is gone ({error}): start the receiver again to go on with what is \
                     left, or put a backup in its place with `batchtask restore`"
                );
                return Err(self.lose(text));
            }
            _ => {
                return Err(Error::Unavailable(format!(
                    "`{path}` was removed, replaced or cut while it was in use, and another \
                     process that reads the journal keeps its content from being saved"
                )));
            }
        }
        self.connection = None;
        self.counters.wal_frames.store(0, Relaxed);
        self.connection = Some(self.reconnect()?);
        tracing::error!(
            "`{path}` was removed, replaced or cut while it was in use; nothing was lost, because \
             its content could be saved in the database"
        );
        Ok(())
    }

    /// Opens the journal again, with the totals that are durable in it.
    pub(super) fn reconnect(&mut self) -> Result<Connection, Error> {
        let path = self.owner.path();
        if !self.presence.has_database() {
            // Another journal knows other duplicates, the readers would still
            // read the previous one, and the log is not its own.
            return Err(self.gone());
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
