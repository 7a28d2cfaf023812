//! Checks before each commit that the files that are written are still those
//! that the next start will find. If a file was removed, the system keeps it
//! only while it is open: everything written to it would be lost with the
//! process, without an error. If a file was cut, SQLite notices it only when it
//! reads what is missing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::counters::{FRAME_BYTES, LOG_HEADER_BYTES};
use crate::files::{self, Identity, identity};
use crate::owner::Owner;

/// The part of SQLite's header that is looked at: the name of the format, and
/// the number that changes with the schema.
const HEADER_BYTES: usize = 44;
const MAGIC: &[u8] = b"SQLite format 3\0";
const SCHEMA_NUMBER: std::ops::Range<usize> = 40..44;

/// What became of the files.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// They are as they were left.
    Intact,
    /// The database was removed or replaced. It may come back.
    DatabaseGone,
    /// The database was cut.
    DatabaseCut,
    /// The number of the schema is another one: the database was overwritten,
    /// or another program has changed the schema.
    OtherSchema,
    /// This file was removed, replaced or cut: the log or its index. The open
    /// connection may still have what was in it.
    LogInDoubt(PathBuf),
}

/// The files, as they were when they were opened.
pub(crate) struct Presence {
    database: PathBuf,
    identity: Identity,
    /// The length of the database: it never gets shorter.
    bytes: u64,
    schema_number: u32,
    log: (PathBuf, Option<Identity>),
    index: (PathBuf, Option<Identity>),
}

impl Presence {
    /// The files of a database that was just opened.
    pub(crate) fn of(owner: &Owner) -> Self {
        let path = owner.path();
        let mut presence = Self {
            database: path.to_owned(),
            identity: owner.identity(),
            bytes: 0,
            schema_number: schema_number(owner).unwrap_or(0),
            log: (files::log_of(path), None),
            index: (files::index_of(path), None),
        };
        presence.renew_log();
        presence
    }

    /// Remembers the log that a new connection writes.
    pub(crate) fn renew_log(&mut self) {
        self.log.1 = find(&self.log.0).map(|(found, _)| found);
        self.index.1 = find(&self.index.0).map(|(found, _)| found);
    }

    /// Accepts a schema that another program has changed, if `number` is what
    /// is on the disk. Returns whether it is.
    pub(crate) fn renew_schema(&mut self, owner: &Owner, number: u32) -> bool {
        let is_on_disk = schema_number(owner) == Some(number);
        if is_on_disk {
            self.schema_number = number;
        }
        is_on_disk
    }

    /// Whether the database is still the one that was opened.
    pub(crate) fn has_database(&self) -> bool {
        find(&self.database).is_some_and(|(found, _)| found == self.identity)
    }

    /// The number of the schema in the header of the database.
    pub(crate) fn schema_number(&self) -> u32 {
        self.schema_number
    }

    /// Compares the files with what is remembered of them. `frames` pages are
    /// in the log. Takes a few microseconds.
    pub(crate) fn look(&mut self, owner: &Owner, frames: u64) -> Found {
        match find(&self.database) {
            Some((found, bytes)) if found == self.identity => {
                if bytes < self.bytes {
                    return Found::DatabaseCut;
                }
                if schema_number(owner) != Some(self.schema_number) {
                    return Found::OtherSchema;
                }
                self.bytes = bytes;
            }
            _ => return Found::DatabaseGone,
        }
        let least = match frames {
            0 => 0,
            frames => LOG_HEADER_BYTES + frames * FRAME_BYTES,
        };
        for ((path, known), least) in [(&self.log, least), (&self.index, 0)] {
            let found = find(path);
            let is_same = found.map(|(found, _)| found) == *known;
            if !is_same || found.is_some_and(|(_, bytes)| bytes < least) {
                return Found::LogInDoubt(path.clone());
            }
        }
        Found::Intact
    }
}

fn find(path: &Path) -> Option<(Identity, u64)> {
    let data = fs::metadata(path).ok()?;
    Some((identity(&data), data.len()))
}

/// `None` if the file does not begin as a database.
fn schema_number(owner: &Owner) -> Option<u32> {
    let header = owner.read_header::<HEADER_BYTES>()?;
    let number = header[SCHEMA_NUMBER].try_into().ok()?;
    header
        .starts_with(MAGIC)
        .then(|| u32::from_be_bytes(number))
}
