//! Whether a log that was left behind is that of its database. SQLite believes
//! it: it would copy the pages of the log over those of another database.
//!
//! Two views of the journal are compared: that of the database file alone, and
//! that of the database with its log.
//!
//! - Both have one `journal_id`.
//! - The database alone has at least the commits that it had when the log
//!   started over (`log_base`), and not more than the log.
//! - The schema number in SQLite's header is the one that each commit notes in
//!   the log. It is another one after each opening, and in a copy that SQLite
//!   makes: so a copy in the place of its own database is found even if the log
//!   fits.

use std::fs;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::counters::LOG_HEADER_BYTES;
use crate::error::OpenError;
use crate::files::log_of;
use crate::schema;

/// The first schema whose journals can be told apart.
const FIRST_SCHEMA: i64 = 4;

/// What a view says of the journal.
struct View {
    journal_id: Vec<u8>,
    commits: i64,
    log_base: i64,
    schema_number: i64,
    /// The number in SQLite's header.
    schema_number_of_file: i64,
}

/// Refuses a database with a log that is not its own. Call it before the
/// journal is opened, as its owner.
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
        return Err(foreign("the database is empty, and the log is not".into()));
    }
    // A page that was being written when the power went is repaired by the log.
    let Ok(Some(database)) = alone(path).and_then(|connection| view(&connection)) else {
        return Ok(());
    };
    let together = together(path).and_then(|connection| view(&connection));
    let whole = match together {
        Ok(Some(whole)) => whole,
        Ok(None) => return Err(foreign("the log has no journal of this version".into())),
        Err(error) if is_damage(&error) => return Err(foreign(error.to_string())),
        Err(error) => return Err(OpenError::sqlite(path, error)),
    };
    compare(&database, &whole).map_err(|found| foreign(found.into()))
}

fn compare(database: &View, whole: &View) -> Result<(), &'static str> {
    if database.journal_id != whole.journal_id {
        return Err("they are of different journals");
    }
    if database.commits < whole.log_base {
        return Err("the database is older than the beginning of the log");
    }
    if database.commits > whole.commits {
        return Err("the database is newer than the log");
    }
    if database.schema_number_of_file != whole.schema_number {
        return Err("the database is a copy, or was replaced, and the log is that of the original");
    }
    Ok(())
}

/// Whether an error says that pages do not fit together.
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

/// Opens the database as if there were no log.
fn alone(path: &Path) -> rusqlite::Result<Connection> {
    schema::open_immutable(path)
}

/// Opens the database with its log, and leaves both as they are.
fn together(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    schema::wait_for_locks(&connection)?;
    Ok(connection)
}

/// Returns `None` for a schema that says too little.
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
