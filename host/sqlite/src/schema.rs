//! The tables, and the configuration of connections.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::OpenError;
use crate::request_ids;
use crate::snapshot::keep_version;
use crate::steps;

/// The application id in SQLite's header that marks a file as a journal: `btjl`.
const APPLICATION_ID: i32 = 0x6274_6a6c;

/// The script of each schema version. `PRAGMA user_version` is the number of scripts
/// that have run. A released script is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    concat!(
        include_str!("schema/4.sql"),
        include_str!("schema/fill.sql")
    ),
];

/// Fills what follows from the events of a journal without it.
pub(crate) const FILL: &str = include_str!("schema/fill.sql");

/// How long a write waits for another process's lock on the file. Two such waits
/// fit into the time of a request.
const WRITER_BUSY_MS: u64 = 4_000;
/// How long a read waits for a lock. In WAL mode only recovery and clean-up lock
/// readers.
const READER_BUSY_MS: u64 = 1_000;
/// The page cache of the writer: it has room for the ends of the indexes and for
/// the open tasks. Other pages come from the system's page cache.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// The page cache of a reader, which needs only a few pages of an index.
const READER_CACHE_KIB: i64 = 2 * 1024;
/// The number of cached statements, greater than the number that a connection
/// prepares.
const STATEMENT_CACHE: usize = 128;

/// Opens the journal at `path` for writing. Creates or migrates it if necessary. Before a
/// migration, the journal is copied, so that an earlier version of the program can go on.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)
        .map_err(|cause| OpenError::sqlite(path, cause))?;
    let version = identify(&connection, path)?;
    if (1..MIGRATIONS.len()).contains(&version) {
        keep_version(&connection, path, version)?;
    }
    configure_writer(&connection).map_err(|cause| OpenError::sqlite(path, cause))?;
    migrate(&mut connection, path, version)?;
    Ok(connection)
}

/// Opens a journal that [`open`] opened before. Does not create a missing file,
/// because an empty journal would not detect duplicates.
pub(crate) fn reopen(path: &Path) -> Result<Connection, OpenError> {
    let connection =
        connect(path, OpenFlags::empty()).map_err(|cause| OpenError::sqlite(path, cause))?;
    let version = identify(&connection, path)?;
    if version != MIGRATIONS.len() {
        let path = path.to_owned();
        return Err(OpenError::Replaced { path });
    }
    configure_writer(&connection).map_err(|cause| OpenError::sqlite(path, cause))?;
    Ok(connection)
}

/// Changes the schema number in SQLite's header, which distinguishes the file from
/// its copies. Other connections only have to prepare their statements again.
pub(crate) fn renumber(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT abs(random() % 2147483646) + 1";
    let number: i32 = connection.query_row(sql, [], |row| row.get(0))?;
    connection.pragma_update(None, "schema_version", number)
}

/// Opens a journal of any version that is about to be replaced. Returns `None` for
/// an empty file.
pub(crate) fn open_former(path: &Path) -> Result<Option<Connection>, OpenError> {
    let connection =
        connect(path, OpenFlags::empty()).map_err(|cause| OpenError::sqlite(path, cause))?;
    let version = identify(&connection, path)?;
    Ok((version > 0).then_some(connection))
}

/// Refuses a journal that is an incomplete copy of another one.
pub(crate) fn ensure_complete(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    if identify(connection, path)? < MIGRATIONS.len() {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM copying)";
    match connection.query_row(sql, [], |row| row.get(0)) {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::Incomplete {
            path: path.to_owned(),
        }),
        Err(cause) => Err(OpenError::sqlite(path, cause)),
    }
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

/// Opens a database that is not being written, without its log and without locks.
pub(crate) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(immutable_uri(path), flags)
}

/// Returns the path as a URI of SQLite.
fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                uri.push(char::from(*byte));
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Opens a connection that writes, with additional flags. The flags also prevent
/// that SQLite reads the path as a URI. A connection must be used by one thread at
/// a time.
fn connect(path: &Path, additional: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | additional;
    let connection = Connection::open_with_flags(path, flags)?;
    wait_for_locks(&connection)?;
    Ok(connection)
}

/// Sets how long `connection` waits for locks of other processes: as long as a
/// write may.
pub(crate) fn wait_for_locks(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_millis(WRITER_BUSY_MS))
}

/// Returns the schema version of a journal, or 0 for an empty file. Changes
/// nothing, because the file may belong to another program.
pub(crate) fn identify(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(|cause| OpenError::sqlite(path, cause))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|cause| OpenError::sqlite(path, cause))?;
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

/// Sets the options of every connection.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // A plan does not depend on the values of parameters. Otherwise a statement with a limit
    // would be planned again on each use.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Sorting must not need a writable temporary folder.
    connection.pragma_update(None, "temp_store", "memory")?;
    // Mapped pages turn a disk error into SIGBUS, which ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "trusted_schema", false)
}

fn configure_writer(connection: &Connection) -> rusqlite::Result<()> {
    // The block size of most disks. The log contains whole pages, so larger pages
    // would increase what a small event writes.
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
    // A commit returns only once the log is on the disk, not in the memory of the
    // system. `fullfsync` does the same for Apple's disks.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Checkpoints run on their own thread.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    add_functions(connection)?;
    configure(connection)
}

/// Migrates a copy of the journal `path` to the current version.
pub(crate) fn migrate_copy(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let version = identify(connection, path)?;
    add_functions(connection).map_err(|cause| OpenError::sqlite(path, cause))?;
    migrate(connection, path, version)
}

/// Adds the functions of statements that write.
fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    request_ids::add_functions(connection)?;
    steps::add_function(connection)
}

/// Runs the scripts after `version`. Each sets its version in its own transaction.
fn migrate(connection: &mut Connection, path: &Path, version: usize) -> Result<(), OpenError> {
    for (done, script) in MIGRATIONS.iter().enumerate().skip(version) {
        let version = done + 1;
        run_migration(connection, version, script).map_err(|cause| OpenError::Migration {
            path: path.to_owned(),
            version,
            cause,
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
