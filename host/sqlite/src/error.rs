//! [`OpenError`]: why a journal could not be opened.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a journal could not be opened. The text names the file and says what to
/// do. An error of the system is the [`source`](std::error::Error::source). An
/// error of SQLite is part of the text, because SQLite's own chain of errors would
/// repeat it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is missing, or is not a folder.
    #[error(
        "the folder `{}` of the journal cannot be used (create it, or choose another path)",
        folder.display()
    )]
    Folder {
        /// The folder of the journal.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file of the journal cannot be created, read or written.
    #[error(
        "the file `{}` of the journal cannot be opened for reading and writing \
         (check the owner and the permissions of the file and of its folder, and the disk)",
        path.display()
    )]
    File {
        /// The file: the database, its log or the index of the log.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path does not name a file.
    #[error(
        "`{}` does not name a file: choose another path, or move the folder of this name away",
        path.display()
    )]
    NotAFile {
        /// The journal's path.
        path: PathBuf,
    },
    /// The journal does not exist.
    #[error("there is no journal `{}`", path.display())]
    Missing {
        /// The journal's path.
        path: PathBuf,
    },
    /// The journal is an incomplete copy.
    #[error(
        "journal `{}` is an incomplete copy of another journal: complete it with the command that \
         began it, `batchtask journal copy`, or remove it",
        path.display()
    )]
    Incomplete {
        /// The journal's path.
        path: PathBuf,
    },
    /// Another process uses this journal.
    #[error("journal `{}` is in use by another process: stop that process first, or let `batchtask serve --takeover` replace it", path.display())]
    InUse {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file has several hard links.
    #[error(
        "journal `{}` has {links} hard links, and each name would get a log of its own. \
         Remove the other names, or copy the journal with `batchtask backup`",
        path.display()
    )]
    HardLinked {
        /// The journal's path.
        path: PathBuf,
        /// How many hard links the file has.
        links: u64,
    },
    /// A file is mounted without its folder.
    #[error(
        "`{}` is a mount of its own, but the journal and its log must be in the same folder. \
         Mount the folder of the journal instead of the file",
        path.display()
    )]
    MountedAlone {
        /// The file that is mounted.
        path: PathBuf,
    },
    /// The log does not belong to the database.
    #[error(
        "journal `{}` and its log `{}` do not belong together, or one of them is damaged: {found}. \
         Was the database replaced by a copy? To use the database as it is, move the log away. \
         To use the former database, put it back. To use a backup, run `batchtask restore`",
        path.display(), log.display()
    )]
    ForeignLog {
        /// The journal's path.
        path: PathBuf,
        /// The path of the log.
        log: PathBuf,
        /// What does not match.
        found: String,
    },
    /// The file can be read but not written.
    #[error(
        "journal `{}` is read-only: check the permissions of the file and of its folder, and \
         whether the disk is mounted read-only",
        path.display()
    )]
    ReadOnly {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file is not a SQLite database.
    #[error(
        "`{}` is not a database, so it cannot be a journal: choose another path, or restore a backup if it was one",
        path.display()
    )]
    NotADatabase {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file is the database of another program.
    #[error(
        "`{}` is the database of another program (application id {found:#x}): choose another path",
        path.display()
    )]
    OtherProgram {
        /// The journal's path.
        path: PathBuf,
        /// The application id in the file.
        found: i32,
    },
    /// The journal was written by a later version of this program.
    #[error(
        "journal `{}` has schema version {found}, but this program supports only versions up to \
         {known}: use the version of the program that wrote it",
        path.display()
    )]
    NewerSchema {
        /// The journal's path.
        path: PathBuf,
        /// The version in the file.
        found: usize,
        /// The greatest version that this program supports.
        known: usize,
    },
    /// The file was replaced by another one while the journal was open.
    #[error(
        "journal `{}` was replaced while it was in use: put the former file back",
        path.display()
    )]
    Replaced {
        /// The journal's path.
        path: PathBuf,
    },
    /// The journal could not be copied before its schema is migrated. It was not changed.
    #[error(
        "the journal cannot be copied to `{}` before it is migrated: {reason}. Its disk needs room \
         for a second file of the same size",
        path.display()
    )]
    NotKept {
        /// The path of the copy.
        path: PathBuf,
        /// What failed.
        reason: String,
    },
    /// The schema could not be migrated to this version. The script of this
    /// version was rolled back.
    #[error("journal `{}` could not be migrated to schema version {version}: {cause}", path.display())]
    Migration {
        /// The journal's path.
        path: PathBuf,
        /// The version whose script failed.
        version: usize,
        /// The error of SQLite.
        cause: rusqlite::Error,
    },
    /// Any other error of SQLite.
    #[error("journal `{}` cannot be opened: {cause}", path.display())]
    Sqlite {
        /// The journal's path.
        path: PathBuf,
        /// The error of SQLite.
        cause: rusqlite::Error,
    },
    /// A thread could not be started.
    #[error("the journal's threads cannot be started")]
    Thread(#[source] io::Error),
}

impl OpenError {
    /// Converts an error of SQLite on this file.
    pub(crate) fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match cause.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            _ => Self::Sqlite { path, cause },
        }
    }

    /// Returns the text of the error followed by that of its source.
    pub(crate) fn text(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
