//! Whether the files that are written are still those that the next start will
//! find. What goes into a file without a name is gone with the process, and
//! nobody would notice: the system keeps it for as long as it is open.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which file a path leads to: its device and its number there.
type Identity = (u64, u64);

/// The database and its log, as they were when they were opened.
pub(super) struct Presence {
    database: (PathBuf, Identity),
    /// Unknown while there is none.
    log: (PathBuf, Option<Identity>),
}

impl Presence {
    /// That of a database which was just opened.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let mut log = OsString::from(database);
        log.push("-wal");
        let log = PathBuf::from(log);
        Ok(Self {
            database: (database.to_owned(), identity(database)?),
            log: (log.clone(), identity(&log).ok()),
        })
    }

    /// Remembers the log as it is, unless one is remembered.
    pub(super) fn note_log(&mut self) {
        if self.log.1.is_none() {
            self.renew_log();
        }
    }

    /// Remembers the log that a new connection writes.
    pub(super) fn renew_log(&mut self) {
        self.log.1 = identity(&self.log.0).ok();
    }

    /// Whether the database is still the one that was opened.
    pub(super) fn has_database(&self) -> bool {
        let (path, known) = &self.database;
        identity(path).ok() == Some(*known)
    }

    /// A file that is not there any more, or is another one now.
    pub(super) fn missing(&self) -> Option<&Path> {
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
