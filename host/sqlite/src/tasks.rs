//! Reads of tasks.

use batchtask_guest::journal::{TRAIL_STEPS_MAX, ranks};
use batchtask_journal::search::contains_lower_case;
use batchtask_journal::stored::{flags_from_bits, saturated, steps_from_bits, unsigned};
use batchtask_journal::{Class, StatusCounts, Step, Summary, TRAIL_BYTES_MAX, Task};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, Row, ffi, params};

use crate::details;
use crate::limit::Limit;
use crate::request_ids;

/// Selects a task with its details, and with the devices among them if `?2` is true.
const SELECT_TASK: &str = "SELECT app_id, task_id, task_type, status, status_desc, \
     occurred_at_ms, rank, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, \
     request_ids, steps, facts, CASE WHEN ?2 THEN failed_devices END \
     FROM tasks LEFT JOIN details ON details.task = tasks.id WHERE id = ?1";

/// Returns the task with these ids.
pub(crate) fn find(
    connection: &Connection,
    app_id: &str,
    task_id: &str,
) -> rusqlite::Result<Option<Task>> {
    let found = connection
        .prepare_cached("SELECT id FROM tasks WHERE app_id = ?1 AND task_id = ?2")?
        .query_row([app_id, task_id], |row| row.get(0))
        .optional()?;
    let Some(id) = found else { return Ok(None) };
    task_of_id(connection, id, true).map(Some)
}

/// Returns the task in the row `id`. The devices for which it failed are left out of
/// lists.
pub(crate) fn task_of_id(
    connection: &Connection,
    id: i64,
    with_devices: bool,
) -> rusqlite::Result<Task> {
    let task = connection
        .prepare_cached(SELECT_TASK)?
        .query_row(params![id, with_devices], from_row)?;
    Ok(Task {
        trail: trail(connection, id)?,
        ..task
    })
}

/// Returns counts over all tasks.
pub(crate) fn summarize(
    connection: &Connection,
    stale_before_ms: u64,
) -> rusqlite::Result<Summary> {
    let sql = "SELECT status, rank, count(*), sum(last_received_at_ms < ?1) \
               FROM tasks INDEXED BY tasks_by_rank GROUP BY rank, status ORDER BY rank, status";
    let (mut counts, mut stale) = (StatusCounts::default(), 0);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([saturated(stale_before_ms)])?;
    while let Some(row) = rows.next()? {
        let (status, rank) = (row.get_ref(0)?.as_str()?, row.get(1)?);
        counts.add(rank, status, unsigned(row.get(2)?));
        if ranks(Class::Open).contains(&rank) {
            stale += unsigned(row.get(3)?);
        }
    }
    let last: Option<i64> = connection
        .prepare_cached("SELECT last_received_at_ms FROM totals")?
        .query_row([], |row| row.get(0))?;
    Ok(Summary {
        statuses: counts.finish(),
        last_received_at_ms: last.map(unsigned),
        stale: Some(stale),
        notices: Vec::new(),
        sinks: None,
    })
}

/// Adds the function `contains_text(text, field, …)` to a connection. `LIKE`
/// would end at the first NUL, and takes longer. The function checks the limit of
/// the read itself, because many long texts are searched between two checks by
/// SQLite.
pub(crate) fn add_search(connection: &Connection, limit: Limit) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("contains_text", 5, flags, move |context| {
        if limit.has_passed() {
            let interrupted = ffi::Error::new(ffi::SQLITE_INTERRUPT);
            return Err(rusqlite::Error::SqliteFailure(interrupted, None));
        }
        let text = context.get_raw(0).as_str()?;
        for place in 1..context.len() {
            if contains_lower_case(context.get_raw(place).as_str()?, text) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Task> {
    let mut task = Task {
        app_id: row.get(0)?,
        task_id: row.get(1)?,
        task_type: row.get(2)?,
        status: row.get(3)?,
        status_desc: row.get(4)?,
        occurred_at_ms: unsigned(row.get(5)?),
        rank: row.get(6)?,
        first_occurred_at_ms: unsigned(row.get(7)?),
        last_received_at_ms: unsigned(row.get(8)?),
        events: unsigned(row.get(9)?),
        duplicates: unsigned(row.get(10)?),
        flags: flags_from_bits(row.get::<_, i64>(11)?),
        name: None,
        policy: None,
        progress: None,
        failed_devices: Vec::new(),
        request_ids: request_ids::list(row.get_ref(12)?.as_blob()?),
        steps: steps_from_bits(row.get::<_, i64>(13)?),
        trail: Vec::new(),
    };
    details::describe(row, 14, &mut task)?;
    Ok(task)
}

/// Returns the last steps of a task, in order.
fn trail(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Step>> {
    let sql = "SELECT status, occurred_at_ms FROM events INDEXED BY events_by_time \
               WHERE task = ?1 ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id, TRAIL_STEPS_MAX as i64])?;
    let (mut steps, mut bytes) = (Vec::new(), 0);
    while bytes < TRAIL_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        let step = Step {
            status: row.get(0)?,
            occurred_at_ms: unsigned(row.get(1)?),
        };
        bytes += step.status.len();
        steps.push(step);
    }
    steps.reverse();
    Ok(steps)
}
