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
        Ok(bits(before, context.get_raw(1).as_str()?))
    })
}

/// Returns the flags of a step to `status`.
pub(crate) fn bits(before: Option<&str>, status: &str) -> i64 {
    i64::from(steps_to_bits(step_flag(before, status)))
}

/// Returns whether the steps to and from an event that is not the last one have no flag.
/// `place` is its time, its rank and its digest.
pub(crate) fn are_usual(
    connection: &Connection,
    task: i64,
    place: (i64, u8, &[u8]),
    status: &str,
) -> Result<bool> {
    let sql = "SELECT (SELECT status FROM events INDEXED BY events_by_time \
                   WHERE task = ?1 AND (occurred_at_ms, rank, digest) < (?2, ?3, ?4) \
                   ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT 1), \
               (SELECT status FROM events INDEXED BY events_by_time \
                   WHERE task = ?1 AND (occurred_at_ms, rank, digest) > (?2, ?3, ?4) \
                   ORDER BY occurred_at_ms, rank, digest LIMIT 1)";
    let (at_ms, rank, digest) = place;
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row((task, at_ms, rank, digest), |row| {
        let before = row.get_ref(0)?.as_str_or_null()?;
        let after = row.get_ref(1)?.as_str_or_null()?;
        let to_the_next = after.map_or(0, |after| bits(Some(status), after));
        Ok(bits(before, status) | to_the_next == 0)
    })
}

/// Returns the flags of the steps of a task, from the statuses of its events.
pub(crate) fn find(connection: &Connection, task: i64) -> Result<i64> {
    let sql = "SELECT status FROM events INDEXED BY events_by_time WHERE task = ?1 \
               ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT ?2";
    let read = TRAIL_STEPS_MAX as i64 + 1;
    let statuses: Vec<String> = connection
        .prepare_cached(sql)?
        .query_map([task, read], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let steps = step_flags(statuses.iter().map(String::as_str));
    Ok(i64::from(steps_to_bits(steps)))
}
