//! The file: its owner, its tables, and the configuration of connections.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Marks a file as a journal, in SQLite's header: `btjl`.
const APPLICATION_ID: i32 = 0x6274_6a6c;

/// One script for each schema version; `PRAGMA user_version` counts those that
/// ran. A script that was released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
];

/// How long a write waits for another process's lock on the file. Short
/// enough that two such waits fit into the time of a request.
const WRITER_BUSY_MS: u64 = 4_000;
/// How long a read waits; in WAL mode only recovery and clean-up lock readers.
const READER_BUSY_MS: u64 = 1_000;
/// The writer keeps the right edges of its indexes and the open tasks in
/// memory. Other pages come from the system's page cache.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// A reader needs a page or two of an index.
const READER_CACHE_KIB: i64 = 2 * 1024;
/// More than the number of statements that a connection prepares.
const STATEMENT_CACHE: usize = 128;

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is missing, or no file can be created in it.
    #[error("cannot keep a journal in folder `{}`: {source}", folder.display())]
    Folder {
        /// The folder of the journal.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path names no file.
    #[error("`{}` does not name a file", path.display())]
    NotAFile {
        /// The journal's path.
        path: PathBuf,
    },
    /// Another process has this journal open.
    #[error("journal `{}` is in use by another process", path.display())]
    InUse {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file can be read but not written.
    #[error("journal `{}` is read-only", path.display())]
    ReadOnly {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file is not a SQLite database.
    #[error("`{}` is not a database, so it cannot be a journal", path.display())]
    NotADatabase {
        /// The journal's path.
        path: PathBuf,
    },
    /// The file is the database of another program.
    #[error("`{}` is the database of another program (application id {found:#x})", path.display())]
    OtherProgram {
        /// The journal's path.
        path: PathBuf,
        /// The application id in the file.
        found: i32,
    },
    /// The journal was written by a later version of this program.
    #[error("journal `{}` has schema version {found}; this program knows up to {known}", path.display())]
    NewerSchema {
        /// The journal's path.
        path: PathBuf,
        /// The version in the file.
        found: usize,
        /// The greatest version known.
        known: usize,
    },
    /// The file was replaced by another one while the journal was open.
    #[error("journal `{}` was replaced while it was in use", path.display())]
    Replaced {
        /// The journal's path.
        path: PathBuf,
    },
    /// The tables could not be brought to the current version. The file is
    /// as it was.
    #[error("journal `{}` could not be migrated to schema version {version}: {source}", path.display())]
    Migration {
        /// The journal's path.
        path: PathBuf,
        /// The version whose script failed.
        version: usize,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// Any other error of SQLite.
    #[error("journal `{}` cannot be opened: {source}", path.display())]
    Sqlite {
        /// The journal's path.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// A thread could not be started.
    #[error("the journal's threads cannot be started: {0}")]
    Thread(#[source] io::Error),
}

impl OpenError {
    fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Returns `path` without symbolic links, so that one file has one lock.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().ok_or_else(|| OpenError::NotAFile {
        path: path.to_owned(),
    })?;
    if let Ok(existing) = fs::canonicalize(path) {
        return if existing.is_dir() {
            Err(OpenError::NotAFile { path: existing })
        } else {
            Ok(existing)
        };
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let resolved = fs::canonicalize(folder).map_err(|source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    Ok(resolved.join(name))
}

/// Makes this process the only one that writes the journal, until the file
/// returned is dropped.
///
/// The lock is on a file of its own, `PATH.lock`: POSIX drops a process's
/// locks on a file as soon as any of its handles is closed, so a lock on the
/// database would cost SQLite its own. The file is never removed: that would
/// be a race.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(PathBuf::from(name))
        .map_err(|source| OpenError::Folder {
            folder: folder.clone(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(OpenError::Folder { folder, source }),
    }
}

/// Opens the journal at `path` for writing. Creates or migrates it first.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)
        .map_err(|source| OpenError::sqlite(path, source))?;
    let version = identify(&connection, path)?;
    configure_writer(&connection).map_err(|source| OpenError::sqlite(path, source))?;
    migrate(&mut connection, path, version)?;
    Ok(connection)
}

/// Opens a journal that [`open`] opened before. Does not create a missing file:
/// an empty journal in its place would know no duplicates.
pub(crate) fn reopen(path: &Path) -> Result<Connection, OpenError> {
    let connection =
        connect(path, OpenFlags::empty()).map_err(|source| OpenError::sqlite(path, source))?;
    let version = identify(&connection, path)?;
    if version != MIGRATIONS.len() {
        let path = path.to_owned();
        return Err(OpenError::Replaced { path });
    }
    configure_writer(&connection).map_err(|source| OpenError::sqlite(path, source))?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(READER_BUSY_MS))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    configure(&connection)?;
    Ok(connection)
}

/// Opens a connection that writes, with `more` flags. A path is never read as a
/// URI, and only one thread at a time uses a connection.
fn connect(path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let connection = Connection::open_with_flags(path, flags)?;
    wait_for_locks(&connection)?;
    Ok(connection)
}

/// Lets `connection` wait for locks of other processes as long as a write may.
pub(crate) fn wait_for_locks(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(WRITER_BUSY_MS))
}

/// Returns the schema version of a journal, or 0 for an empty file. Changes
/// nothing, because the file may belong to another program.
fn identify(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(|source| OpenError::sqlite(path, source))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|source| OpenError::sqlite(path, source))?;
    let path = path.to_owned();
    if (application, version, objects) == (0, 0, 0) {
        return Ok(0);
    }
    match usize::try_from(version) {
        Ok(found) if application == APPLICATION_ID => {
            if found > MIGRATIONS.len() {
                return Err(OpenError::NewerSchema {
                    path,
                    found,
                    known: MIGRATIONS.len(),
                });
            }
            Ok(found)
        }
        _ => Err(OpenError::OtherProgram {
            path,
            found: application,
        }),
    }
}

/// Sets what every connection needs.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Sorting must not need a writable temporary folder.
    connection.pragma_update(None, "temp_store", "memory")?;
    // Mapped pages turn a disk error into SIGBUS, which ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    // The size of a block on most disks. Pages go to the log whole, so larger
    // ones would multiply what a small event writes.
    connection.pragma_update(None, "page_size", 4096)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        // For example on a network file system without shared memory.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!(
                "the file system allows journal mode `{mode}` but not `wal`"
            )),
        ));
    }
    // A commit returns once the log is on disk, not only in the memory of the
    // system. `fullfsync` does the same for Apple's disks.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Checkpoints have a thread of their own.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    configure(connection)
}

/// Runs the scripts after `version`, each in a transaction with its number.
fn migrate(connection: &mut Connection, path: &Path, version: usize) -> Result<(), OpenError> {
    for (done, script) in MIGRATIONS.iter().enumerate().skip(version) {
        let version = done + 1;
        run_migration(connection, version, script).map_err(|source| OpenError::Migration {
            path: path.to_owned(),
            version,
            source,
        })?;
    }
    Ok(())
}

fn run_migration(
    connection: &mut Connection,
    version: usize,
    script: &str,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(script)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version as i64)?;
    transaction.commit()
}
