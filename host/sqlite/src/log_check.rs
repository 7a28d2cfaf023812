//! Checks that a log that was left behind belongs to its database. SQLite does not
//! check it: it would copy the pages of the log into any database of that name.
//!
//! Two views of the journal are compared: the database file without its log, and
//! the database with its log.
//!
//! - Both have the same `journal_id`.
//! - The database without its log has at least as many commits as when the log
//!   started over (`log_base`), and not more than the database with its log.
//! - The schema number in SQLite's header is the one that each commit writes to
//!   the log. The number changes with each opening, and in a copy that SQLite
//!   makes. So if a copy has replaced the database, it is detected even if the
//!   commits match.

use std::fs;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::counters::LOG_HEADER_BYTES;
use crate::error::OpenError;
use crate::files::log_of;
use crate::schema;

/// The first schema version that has a `journal_id`.
const FIRST_SCHEMA: i64 = 4;

/// The identity and the state of the journal in one of the two views.
struct View {
    journal_id: Vec<u8>,
    commits: i64,
    log_base: i64,
    schema_number: i64,
    /// The schema number in SQLite's header.
    schema_number_of_file: i64,
}

/// Refuses a database with a log that does not belong to it. Call it before
/// opening the journal, as its owner.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let log = log_of(path);
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
    if bytes(&log) <= LOG_HEADER_BYTES {
        return Ok(());
    }
    let foreign = |found: String| OpenError::ForeignLog {
        path: path.to_owned(),
        log: log.clone(),
        found,
    };
    if bytes(path) == 0 {
        return Err(foreign("the database is empty, but the log is not".into()));
    }
    // If the database alone cannot be read, a page was being written when the power
    // failed. The log repairs it.
    let without_log = schema::open_immutable(path).and_then(|connection| view(&connection));
    let Ok(Some(without_log)) = without_log else {
        return Ok(());
    };
    let with_log = match open_with_log(path).and_then(|connection| view(&connection)) {
        Ok(Some(with_log)) => with_log,
        Ok(None) => {
            return Err(foreign(
                "the log does not contain a journal of this version".into(),
            ));
        }
        Err(error) if is_damage(&error) => return Err(foreign(error.to_string())),
        Err(error) => return Err(OpenError::sqlite(path, error)),
    };
    compare(&without_log, &with_log).map_err(|found| foreign(found.into()))
}

/// Compares the two views. Returns the text of the first difference.
fn compare(without_log: &View, with_log: &View) -> Result<(), &'static str> {
    if without_log.journal_id != with_log.journal_id {
        return Err("they belong to different journals");
    }
    if without_log.commits < with_log.log_base {
        return Err("the database is older than the beginning of the log");
    }
    if without_log.commits > with_log.commits {
        return Err("the database is newer than the log");
    }
    if without_log.schema_number_of_file != with_log.schema_number {
        return Err("the database is a copy or was replaced, but the log is that of the original");
    }
    Ok(())
}

/// Returns whether an error means that the pages do not match.
fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    !matches!(
        code,
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
        )
    )
}

/// Opens the database with its log. Changes neither.
fn open_with_log(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    schema::wait_for_locks(&connection)?;
    Ok(connection)
}

/// Reads a view. Returns `None` if the schema is too old to have one.
fn view(connection: &Connection) -> rusqlite::Result<Option<View>> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("user_version")? < FIRST_SCHEMA {
        return Ok(None);
    }
    let sql = "SELECT journal_id, commits, log_base, schema_number FROM totals";
    let schema_number_of_file = pragma("schema_version")?;
    connection
        .query_row(sql, [], |row| {
            Ok(View {
                journal_id: row.get(0)?,
                commits: row.get(1)?,
                log_base: row.get(2)?,
                schema_number: row.get(3)?,
                schema_number_of_file,
            })
        })
        .map(Some)
}
