//! Pages and errors of SQLite.

use batchtask_journal::Error;
use batchtask_journal::page::Page;
use rusqlite::ErrorCode;

/// Returns how many rows to query for a page.
pub(crate) fn rows<T>(page: &Page<T>) -> i64 {
    page.rows() as i64
}

/// Converts an error of SQLite. `message` says what failed.
pub(crate) fn sqlite_error(message: &str, error: &rusqlite::Error) -> Error {
    let text = format!("{message}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}
