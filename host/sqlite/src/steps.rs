//! The flags of the steps of a task, which are stored with it.

use batchtask_guest::journal::{TRAIL_STEPS_MAX, step_flag, step_flags};
use batchtask_journal::stored::steps_to_bits;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Result};

/// Adds the function `step_bits(before, status)` to a connection that writes.
/// `before` is NULL if there is no status before it.
pub(crate) fn add_function(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("step_bits", 2, flags, |context| {
        let before = context.get_raw(0).as_str_or_null()?;
        let status = context.get_raw(1).as_str()?;
        Ok(steps_to_bits(step_flag(before, status)))
    })
}

/// Stores the flags of a task again, from the statuses of its events.
pub(crate) fn store(connection: &Connection, task: i64) -> Result<()> {
    let sql = "SELECT status FROM events INDEXED BY events_by_time WHERE task = ?1 \
               ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT ?2";
    let read = TRAIL_STEPS_MAX as i64 + 1;
    let statuses: Vec<String> = connection
        .prepare_cached(sql)?
        .query_map([task, read], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let steps = step_flags(statuses.iter().map(String::as_str));
    let sql = "UPDATE tasks SET steps = ?2 WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute((task, steps_to_bits(steps)))?;
    Ok(())
}
