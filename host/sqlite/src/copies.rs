//! Backup and restore of a journal.
//!
//! A backup is one file: a database without a log. It is written as a whole, or
//! not at all.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempPath;

use crate::error::OpenError;
use crate::files::{self, folder_of, index_of, log_of};
use crate::owner::Owner;
use crate::schema;
use crate::snapshot::{copy_pages, new_file_beside, sync};
use crate::{checkpoint, log_check};

/// Why a journal could not be copied or restored. An error of the system is the
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The file does not exist.
    #[error("there is no file `{}`", path.display())]
    Missing {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file of the backup exists already.
    #[error(
        "`{}` exists already: choose another name, or use `--force` to replace it",
        path.display()
    )]
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
    #[error("`{}` is damaged ({found}), so nothing was changed", path.display())]
    Damaged {
        /// The path of the file that is copied.
        path: PathBuf,
        /// The damage that SQLite reports.
        found: String,
    },
    /// The file has a log, so it is not a complete backup.
    #[error(
        "`{}` is not a backup, because it has a log beside it: use `batchtask backup` to make a \
         backup",
        path.display()
    )]
    HasLog {
        /// The path of the backup.
        path: PathBuf,
    },
    /// The file is a backup of another journal.
    #[error(
        "`{}` is not a backup of the journal `{}`, but of another one: use `--force` to replace \
         the journal anyway",
        backup.display(), journal.display()
    )]
    OtherJournal {
        /// The path of the backup.
        backup: PathBuf,
        /// The path of the journal.
        journal: PathBuf,
    },
}

/// The result of a backup or restore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// The path of the new file, without symbolic links.
    pub path: PathBuf,
    /// The number of events in it.
    pub events: u64,
    /// The length of the file in bytes.
    pub bytes: u64,
}

/// Copies the journal in `path`, which may be in use, to the file `backup`. An
/// existing file is replaced only if `overwrite` is set.
///
/// # Errors
/// See [`CopyError`]. After an error, the file `backup` is not changed.
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
    let write_error = |source| CopyError::Write {
        path: backup.to_owned(),
        source,
    };
    if overwrite {
        copy.persist(backup)
            .map_err(|error| write_error(error.error))?;
    } else {
        copy.persist_noclobber(backup)
            .map_err(|error| write_error(error.error))?;
    }
    files::sync_folder(backup).map_err(write_error)?;
    copied(backup, &facts).map_err(write_error)
}

/// Replaces the journal in `path`, which must not be in use, by a backup. The
/// backup must be one of the same journal, unless `replace_other` is set. Whenever
/// this ends, even by a loss of power, the journal is either the former one or
/// that of the backup. The file has the owner of the former one, or that of its folder.
///
/// # Errors
/// See [`CopyError`]. After an error, the journal is the former one.
pub fn restore(path: &Path, backup: &Path, replace_other: bool) -> Result<Copied, CopyError> {
    let source = open_backup(backup)?;
    let is_new = !path.exists();
    let like = if is_new { folder_of(path) } else { path };
    let like = like.metadata().map_err(|source| CopyError::Write {
        path: path.to_owned(),
        source,
    })?;
    let owner = Owner::lock(path, Duration::ZERO)?;
    let restored = replace(&owner, &source, backup, &like, replace_other);
    if is_new && restored.is_err() {
        // The lock has created an empty file.
        let _ = std::fs::remove_file(owner.path());
    }
    restored
}

/// Opens a backup, after checking that it has no log.
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

/// Replaces the journal of `owner` by the backup, which is open as `source`. The file gets
/// the owner of `like`.
fn replace(
    owner: &Owner,
    source: &Connection,
    backup: &Path,
    like: &Metadata,
    replace_other: bool,
) -> Result<Copied, CopyError> {
    let path = owner.path();
    files::check_mounts(path)?;
    let copy = copy_beside(source, backup, path)?;
    let mut facts = Facts::of(&copy, backup)?;
    if let Some(former) = checkpoint_former(path)? {
        if former.journal_id != facts.journal_id && !replace_other {
            return Err(CopyError::OtherJournal {
                backup: backup.to_owned(),
                journal: path.to_owned(),
            });
        }
        facts.last_seq = facts.last_seq.max(former.last_seq);
    }
    raise_last_seq(&copy, facts.last_seq).map_err(|cause| CopyError::Copy {
        path: backup.to_owned(),
        cause,
    })?;
    let write_error = |source| CopyError::Write {
        path: path.to_owned(),
        source,
    };
    keep_owner(&copy, like).map_err(write_error)?;
    sync(&copy).map_err(write_error)?;
    // The former journal is complete without its log, unless it was damaged.
    remove_log(path).map_err(write_error)?;
    copy.persist(path)
        .map_err(|error| write_error(error.error))?;
    files::sync_folder(path).map_err(write_error)?;
    copied(path, &facts).map_err(write_error)
}

/// Copies a database to a new file in the folder of `target`, migrates the copy to
/// the current schema, checks it, and makes it durable.
fn copy_beside(
    source: &Connection,
    source_path: &Path,
    target: &Path,
) -> Result<TempPath, CopyError> {
    let write_error = |source| CopyError::Write {
        path: target.to_owned(),
        source,
    };
    let copy = new_file_beside(target).map_err(write_error)?;
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
    sync(&copy).map_err(write_error)?;
    Ok(copy)
}

/// Gives a new file the user and the group of another one. Otherwise a service could not
/// open the journal that root restored.
fn keep_owner(file: &Path, like: &Metadata) -> io::Result<()> {
    let current = file.metadata()?;
    if (current.uid(), current.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    chown(file, Some(like.uid()), Some(like.gid()))
}

/// The identity of a journal, and how far it is.
struct Facts {
    journal_id: Vec<u8>,
    last_seq: u64,
    events: u64,
}

impl Facts {
    /// Reads the facts of a copy of the database at `original`.
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

/// Copies the log of the journal that is to be replaced into its database, so that
/// the journal is complete without its log. Returns its facts, or `None` if the
/// journal does not exist or is damaged.
fn checkpoint_former(path: &Path) -> Result<Option<Facts>, OpenError> {
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

/// Raises the last `seq` of the copy to that of the replaced journal, so that a
/// follower of that journal does not miss new events.
fn raise_last_seq(copy: &Path, last_seq: u64) -> rusqlite::Result<()> {
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
