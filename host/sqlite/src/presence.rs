//! Checks that the files that are written are still those that the next start
//! will find. If a file was removed, the system keeps it only while it is open:
//! everything written to it would be lost with the process, without an error.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Identifies a file: its device, and its number on it.
type Identity = (u64, u64);

/// The database and its log, as they were when they were opened.
pub(crate) struct Presence {
    database: (PathBuf, Identity),
    /// `None` while there is no log.
    log: (PathBuf, Option<Identity>),
}

impl Presence {
    /// The files of a database that was just opened.
    pub(crate) fn of(database: &Path) -> io::Result<Self> {
        let mut log = OsString::from(database);
        log.push("-wal");
        let log = PathBuf::from(log);
        Ok(Self {
            database: (database.to_owned(), identity(database)?),
            log: (log.clone(), identity(&log).ok()),
        })
    }

    /// Remembers the log, unless a log is remembered already.
    pub(crate) fn note_log(&mut self) {
        if self.log.1.is_none() {
            self.renew_log();
        }
    }

    /// Remembers the log that a new connection writes.
    pub(crate) fn renew_log(&mut self) {
        self.log.1 = identity(&self.log.0).ok();
    }

    /// Whether the database is still the one that was opened.
    pub(crate) fn has_database(&self) -> bool {
        let (path, known) = &self.database;
        identity(path).ok() == Some(*known)
    }

    /// Returns a file that was removed or replaced, if there is one.
    pub(crate) fn missing(&self) -> Option<&Path> {
        if !self.has_database() {
            return Some(&self.database.0);
        }
        let (path, known) = &self.log;
        let gone = known.is_some_and(|known| identity(path).ok() != Some(known));
        gone.then_some(path)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|data| (data.dev(), data.ino()))
}
