//! Backups of a journal, and putting one back.
//!
//! A backup is one file: a database without a log. It is there as a whole, or
//! not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tempfile::{Builder, TempPath};

use crate::error::OpenError;
use crate::files::{self, folder_of, index_of, log_of};
use crate::owner::Owner;
use crate::schema;
use crate::{checkpoint, log_check};

/// How the names of files begin that are not whole yet. One may be left behind
/// if the program is killed.
const PREFIX: &str = ".batchtask-copy-";

/// Why a journal could not be copied or put back. An error of the system is the
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// There is no such file.
    #[error("there is no file `{}`", path.display())]
    Missing {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file that the backup would get is there.
    #[error("`{}` exists: choose another name, or replace it with `--force`", path.display())]
    Exists {
        /// The path of the backup.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("`{}` cannot be written", path.display())]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// SQLite cannot copy the journal.
    #[error("`{}` cannot be copied: {cause}", path.display())]
    Copy {
        /// The path of the file that is copied.
        path: PathBuf,
        /// The error of SQLite.
        cause: rusqlite::Error,
    },
    /// The copy is damaged.
    #[error("`{}` is damaged, and nothing was changed: {found}", path.display())]
    Damaged {
        /// The path of the file that is copied.
        path: PathBuf,
        /// What SQLite finds.
        found: String,
    },
    /// The backup has a log, so it is not a backup alone.
    #[error(
        "`{}` has a log beside it, so it is no backup: make one with `batchtask backup`",
        path.display()
    )]
    HasLog {
        /// The path of the backup.
        path: PathBuf,
    },
    /// The backup is one of another journal.
    #[error(
        "`{}` is a backup of another journal than `{}`: use `--force` to replace the journal by it",
        backup.display(), journal.display()
    )]
    OtherJournal {
        /// The path of the backup.
        backup: PathBuf,
        /// The path of the journal.
        journal: PathBuf,
    },
}

/// What was copied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The file, without symbolic links.
    pub path: PathBuf,
    /// How many events are in it.
    pub events: u64,
    /// Its length.
    pub bytes: u64,
}

/// Copies the journal in `path`, which may be in use, to the file `backup`. An
/// existing file is replaced only if `overwrite` is set.
///
/// # Errors
/// See [`CopyError`]. There is no `backup` then, or the former one.
pub fn back_up(path: &Path, backup: &Path, overwrite: bool) -> Result<Copied, CopyError> {
    if !path.exists() {
        let path = path.to_owned();
        return Err(CopyError::Missing { path });
    }
    if backup.exists() && !overwrite {
        let path = backup.to_owned();
        return Err(CopyError::Exists { path });
    }
    let source = schema::open_reader(path).map_err(|cause| OpenError::sqlite(path, cause))?;
    if schema::identify(&source, path)? == 0 {
        let path = path.to_owned();
        return Err(CopyError::Missing { path });
    }
    let copy = copy_beside(&source, path, backup)?;
    let facts = Facts::of(&copy, path)?;
    let written = |source| CopyError::Write {
        path: backup.to_owned(),
        source,
    };
    if overwrite {
        copy.persist(backup).map_err(|error| written(error.error))?;
    } else {
        copy.persist_noclobber(backup)
            .map_err(|error| written(error.error))?;
    }
    files::sync_folder(backup).map_err(written)?;
    copied(backup, &facts).map_err(written)
}

/// Puts a backup in the place of the journal in `path`, which must not be in
/// use. A journal of its own that is there must be the same journal, unless
/// `replace_other` is set. Whenever this ends, even by a loss of power, the
/// journal is the former one or that of the backup.
///
/// # Errors
/// See [`CopyError`]. The journal is the former one then.
pub fn restore(path: &Path, backup: &Path, replace_other: bool) -> Result<Copied, CopyError> {
    let source = open_backup(backup)?;
    let is_new = !path.exists();
    let owner = Owner::lock(path, Duration::ZERO)?;
    let restored = replace(&owner, &source, backup, replace_other);
    if is_new && restored.is_err() {
        // The lock has made an empty file.
        let _ = std::fs::remove_file(owner.path());
    }
    restored
}

fn open_backup(backup: &Path) -> Result<Connection, CopyError> {
    let path = backup.to_owned();
    if !backup.exists() {
        return Err(CopyError::Missing { path });
    }
    if log_of(backup).metadata().is_ok_and(|data| data.len() > 0) {
        return Err(CopyError::HasLog { path });
    }
    let connection =
        schema::open_immutable(backup).map_err(|cause| OpenError::sqlite(backup, cause))?;
    if schema::identify(&connection, backup)? == 0 {
        let found = "the file is empty".into();
        return Err(CopyError::Damaged { path, found });
    }
    Ok(connection)
}

/// Replaces the journal of `owner` by the backup, which is open as `source`.
fn replace(
    owner: &Owner,
    source: &Connection,
    backup: &Path,
    replace_other: bool,
) -> Result<Copied, CopyError> {
    let path = owner.path();
    files::check_mounts(path)?;
    let copy = copy_beside(source, backup, path)?;
    let mut facts = Facts::of(&copy, backup)?;
    if let Some(former) = settle_former(path)? {
        if former.journal_id != facts.journal_id && !replace_other {
            return Err(CopyError::OtherJournal {
                backup: backup.to_owned(),
                journal: path.to_owned(),
            });
        }
        facts.last_seq = facts.last_seq.max(former.last_seq);
    }
    keep_last_seq(&copy, facts.last_seq).map_err(|cause| CopyError::Copy {
        path: backup.to_owned(),
        cause,
    })?;
    let written = |source| CopyError::Write {
        path: path.to_owned(),
        source,
    };
    sync(&copy).map_err(written)?;
    // The former journal is whole without its log, unless it was damaged.
    remove_log(path).map_err(written)?;
    copy.persist(path).map_err(|error| written(error.error))?;
    files::sync_folder(path).map_err(written)?;
    copied(path, &facts).map_err(written)
}

/// Copies a database to a file of its own in the folder of `target`, checks the
/// copy, and makes it durable. The copy has the current schema.
fn copy_beside(
    source: &Connection,
    source_path: &Path,
    target: &Path,
) -> Result<TempPath, CopyError> {
    let written = |source| CopyError::Write {
        path: target.to_owned(),
        source,
    };
    // Only its owner can read it.
    let copy = Builder::new().prefix(PREFIX).tempfile_in(folder_of(target));
    let copy = copy.map_err(written)?.into_temp_path();
    let failed = |cause| CopyError::Copy {
        path: source_path.to_owned(),
        cause,
    };
    let mut connection = copy_pages(source, &copy).map_err(failed)?;
    schema::migrate_copy(&mut connection, source_path)?;
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if found != "ok" {
        let path = source_path.to_owned();
        return Err(CopyError::Damaged { path, found });
    }
    drop(connection);
    sync(&copy).map_err(written)?;
    Ok(copy)
}

/// Copies all pages from one snapshot.
fn copy_pages(source: &Connection, target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(target, flags)?;
    // It is made durable as a whole, and thrown away if it is not whole.
    connection.pragma_update(None, "synchronous", "off")?;
    let backup = Backup::new(source, &mut connection)?;
    match backup.step(-1)? {
        StepResult::Done => {}
        _ => return Err(busy()),
    }
    drop(backup);
    // One file, without a log.
    connection.pragma_update(None, "journal_mode", "delete")?;
    Ok(connection)
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Which journal a database is, and how far it is.
struct Facts {
    journal_id: Vec<u8>,
    last_seq: u64,
    events: u64,
}

impl Facts {
    /// The facts of a copy of the database at `original`.
    fn of(copy: &Path, original: &Path) -> Result<Self, CopyError> {
        let connection = schema::open_immutable(copy);
        let facts = connection.and_then(|connection| Self::read(&connection));
        facts.map_err(|cause| CopyError::Copy {
            path: original.to_owned(),
            cause,
        })
    }

    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT journal_id, last_seq, (SELECT count(*) FROM events) FROM totals";
        connection.query_row(sql, [], |row| {
            Ok(Self {
                journal_id: row.get(0)?,
                last_seq: row.get::<_, i64>(1)?.unsigned_abs(),
                events: row.get::<_, i64>(2)?.unsigned_abs(),
            })
        })
    }
}

/// Copies what is in the log of the journal that is to be replaced into its
/// database, so that the database alone is that journal. Returns what it is, or
/// `None` if there is no journal, or one that is damaged.
fn settle_former(path: &Path) -> Result<Option<Facts>, OpenError> {
    match log_check::check(path) {
        Err(OpenError::ForeignLog { .. }) => return Ok(None),
        checked => checked?,
    }
    match schema::open_former(path) {
        Ok(Some(connection)) => match checkpoint::truncate(&connection) {
            Ok(0) => Ok(Facts::read(&connection).ok()),
            Ok(_) => Err(OpenError::InUse {
                path: path.to_owned(),
            }),
            Err(_) => Ok(None),
        },
        Ok(None) | Err(OpenError::NotADatabase { .. } | OpenError::Sqlite { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Goes on with the numbers of the journal that is replaced: a follower that
/// has seen its last event misses none that comes after it.
fn keep_last_seq(copy: &Path, last_seq: u64) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(copy, flags)?;
    let sql = "UPDATE totals SET last_seq = ?1 WHERE last_seq < ?1";
    connection.execute(sql, [last_seq.cast_signed()])?;
    Ok(())
}

fn remove_log(path: &Path) -> io::Result<()> {
    for file in [log_of(path), index_of(path)] {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    files::sync_folder(path)
}

fn copied(path: &Path, facts: &Facts) -> io::Result<Copied> {
    Ok(Copied {
        path: path.canonicalize()?,
        events: facts.events,
        bytes: path.metadata()?.len(),
    })
}
