//! [`Presence`]: checks before each commit that the open files are still those
//! that the next start will find.
//!
//! If a file was removed, the system keeps it only while it is open: everything
//! written to it would be lost when the process ends, without an error. If a file
//! was truncated, SQLite notices it only when it reads the missing part.

use std::fs;
use std::path::{Path, PathBuf};

use crate::counters::{FRAME_BYTES, LOG_HEADER_BYTES};
use crate::files::{self, Identity, identity};
use crate::owner::Owner;

/// The length of the part of SQLite's header that is read: the name of the format,
/// and the number that changes with the schema.
const HEADER_BYTES: usize = 44;
const MAGIC: &[u8] = b"SQLite format 3\0";
const SCHEMA_NUMBER: std::ops::Range<usize> = 40..44;

/// The state of the files.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum FileState {
    /// Nothing was changed by others.
    Intact,
    /// The database was removed or replaced. It may be put back.
    DatabaseGone,
    /// The database was truncated.
    DatabaseTruncated,
    /// The schema number has changed: the database was overwritten, or another
    /// program changed the schema.
    OtherSchema,
    /// This file, the log or its index, was removed, replaced or truncated. The
    /// open connection may still have its content.
    LogInDoubt(PathBuf),
}

/// The state of the files when they were opened.
pub(crate) struct Presence {
    database: PathBuf,
    identity: Identity,
    /// The length of the database, which never gets shorter.
    bytes: u64,
    schema_number: u32,
    log: (PathBuf, Option<Identity>),
    index: (PathBuf, Option<Identity>),
}

impl Presence {
    /// Returns the state of the files of a database that was just opened.
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

    /// Remembers the log and its index after a new connection created them.
    pub(crate) fn renew_log(&mut self) {
        self.log.1 = find(&self.log.0).map(|(found, _)| found);
        self.index.1 = find(&self.index.0).map(|(found, _)| found);
    }

    /// Accepts `number` as the new schema number if it is the one on the disk.
    /// Returns whether it is.
    pub(crate) fn renew_schema(&mut self, owner: &Owner, number: u32) -> bool {
        let is_on_disk = schema_number(owner) == Some(number);
        if is_on_disk {
            self.schema_number = number;
        }
        is_on_disk
    }

    /// Returns whether the database is still the file that was opened.
    pub(crate) fn has_database(&self) -> bool {
        find(&self.database).is_some_and(|(found, _)| found == self.identity)
    }

    /// Returns the schema number in the header of the database.
    pub(crate) fn schema_number(&self) -> u32 {
        self.schema_number
    }

    /// Compares the files with the remembered state. `frames` is the number of
    /// pages in the log. Takes a few microseconds.
    pub(crate) fn check(&mut self, owner: &Owner, frames: u64) -> FileState {
        match find(&self.database) {
            Some((found, bytes)) if found == self.identity => {
                if bytes < self.bytes {
                    return FileState::DatabaseTruncated;
                }
                if schema_number(owner) != Some(self.schema_number) {
                    return FileState::OtherSchema;
                }
                self.bytes = bytes;
            }
            _ => return FileState::DatabaseGone,
        }
        let least = match frames {
            0 => 0,
            frames => LOG_HEADER_BYTES + frames * FRAME_BYTES,
        };
        for ((path, known), least) in [(&self.log, least), (&self.index, 0)] {
            let found = find(path);
            let is_same = found.map(|(found, _)| found) == *known;
            if !is_same || found.is_some_and(|(_, bytes)| bytes < least) {
                return FileState::LogInDoubt(path.clone());
            }
        }
        FileState::Intact
    }
}

fn find(path: &Path) -> Option<(Identity, u64)> {
    let data = fs::metadata(path).ok()?;
    Some((identity(&data), data.len()))
}

/// Reads the schema number from the header on the disk. Returns `None` if the file
/// is not a database.
fn schema_number(owner: &Owner) -> Option<u32> {
    let header = owner.read_header::<HEADER_BYTES>()?;
    let number = header[SCHEMA_NUMBER].try_into().ok()?;
    header
        .starts_with(MAGIC)
        .then(|| u32::from_be_bytes(number))
}
