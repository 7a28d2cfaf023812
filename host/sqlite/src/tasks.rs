//! Reads of tasks.

use batchtask_guest::journal::{TRAIL_STEPS_MAX, ranks};
use batchtask_journal::cursor::TaskKey;
use batchtask_journal::page::{Page, task_bytes};
use batchtask_journal::search::{SearchText, contains_lower_case};
use batchtask_journal::stored::{flags_from_bits, saturated, unsigned};
use batchtask_journal::{
    Class, Error, StatusCounts, Step, Summary, TRAIL_BYTES_MAX, Task, TaskOrder, TaskPage,
    TaskQuery,
};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, ffi, params, params_from_iter};

use crate::details;
use crate::limit::Limit;
use crate::request_ids;
use crate::values::rows;

/// Selects a task with its details, and with the devices among them if `?2` is true.
const SELECT_TASK: &str = "SELECT app_id, task_id, task_type, status, status_desc, \
     occurred_at_ms, rank, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, \
     request_ids, facts, CASE WHEN ?2 THEN failed_devices END \
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
fn task_of_id(connection: &Connection, id: i64, with_devices: bool) -> rusqlite::Result<Task> {
    let task = connection
        .prepare_cached(SELECT_TASK)?
        .query_row(params![id, with_devices], from_row)?;
    Ok(Task {
        trail: trail(connection, id)?,
        ..task
    })
}

/// A statement that is composed of fixed texts, and the values bound to it. It
/// selects only the ids of the rows of a page, because a search keeps everything
/// that it selects in memory while it sorts.
pub(crate) struct Listing {
    sql: String,
    values: Vec<Value>,
    order: TaskOrder,
    limit: u32,
}

impl Listing {
    /// Composes the statement of `query`.
    pub(crate) fn new(query: &TaskQuery) -> Result<Self, Error> {
        let text = SearchText::of(query)?;
        // The index is named, because for an application the planner would choose
        // the index of the ids, and sort all tasks of the application. A search
        // reads texts that are in no index: in the order of the table it takes a
        // fifth of the time that it takes in the order of an index.
        let index = match (&query.text, &query.status) {
            (Some(_), _) => " NOT INDEXED WHERE TRUE",
            (None, Some(_)) => " INDEXED BY tasks_by_status WHERE TRUE",
            (None, None) => " INDEXED BY tasks_by_time WHERE TRUE",
        };
        let mut listing = Self {
            sql: format!("SELECT id FROM tasks{index}"),
            values: Vec::new(),
            order: query.order,
            limit: query.limit,
        };
        let cursor = query.cursor.as_deref();
        let after = cursor
            .map(|text| TaskKey::decode(text, query.order))
            .transpose()?;
        listing.filter(query);
        if let Some(text) = text {
            listing.search(&text);
        }
        if let Some(key) = after {
            listing.after(key);
        }
        listing.sql.push_str(match listing.order {
            TaskOrder::Newest => " ORDER BY occurred_at_ms DESC, app_id, task_id LIMIT ?",
            TaskOrder::Oldest => " ORDER BY occurred_at_ms, app_id, task_id LIMIT ?",
        });
        Ok(listing)
    }

    fn filter(&mut self, query: &TaskQuery) {
        if let Some(status) = &query.status {
            self.and("status = ?", [status.clone()]);
        }
        if let Some(class) = query.class {
            let (least, greatest) = ranks(class).into_inner();
            self.and("rank BETWEEN ? AND ?", [least, greatest]);
        }
        if let Some(task_type) = &query.task_type {
            self.and("task_type = ?", [task_type.clone()]);
        }
        if let Some(app_id) = &query.app_id {
            self.and("app_id = ?", [app_id.clone()]);
        }
        if let Some(since_ms) = query.since_ms {
            self.and("occurred_at_ms >= ?", [saturated(since_ms)]);
        }
        if let Some(until_ms) = query.until_ms {
            self.and("occurred_at_ms < ?", [saturated(until_ms)]);
        }
    }

    /// Restricts the list to tasks that contain the text, see [`add_search`].
    fn search(&mut self, text: &SearchText) {
        self.and(
            "contains_text(?, task_id, app_id, task_type, status_desc)",
            [text.lower_case().to_owned()],
        );
    }

    /// Restricts the list to tasks after `key`. The first comparison uses the
    /// index; the second one skips tasks of the same time that come before `key`.
    fn after(&mut self, key: TaskKey) {
        let at_ms = key.occurred_at_ms;
        let (by_time, by_key) = match self.order {
            TaskOrder::Newest => (
                "occurred_at_ms <= ?",
                "(occurred_at_ms < ? OR (app_id, task_id) > \
                 (SELECT app_id, task_id FROM tasks WHERE id = ?))",
            ),
            TaskOrder::Oldest => (
                "occurred_at_ms >= ?",
                "(occurred_at_ms > ? OR (app_id, task_id) > \
                 (SELECT app_id, task_id FROM tasks WHERE id = ?))",
            ),
        };
        self.and(by_time, [at_ms]);
        self.and(by_key, [at_ms, key.id]);
    }

    /// Adds a condition and the values of its parameters.
    fn and<V: Into<Value>, const N: usize>(&mut self, condition: &'static str, values: [V; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values.map(Into::into));
    }

    /// Reads the page.
    pub(crate) fn read(mut self, connection: &Connection) -> rusqlite::Result<TaskPage> {
        let mut page = Page::new(self.limit);
        self.values.push(rows(&page).into());
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        let mut last = 0;
        while let Some(row) = rows.next()? {
            if page.is_full() {
                break;
            }
            last = row.get(0)?;
            let task = task_of_id(connection, last, false)?;
            let bytes = task_bytes(&task);
            page.push(task, bytes);
        }
        let (tasks, next) = page.finish(|task| {
            let occurred_at_ms = saturated(task.occurred_at_ms);
            TaskKey {
                occurred_at_ms,
                id: last,
            }
            .encode(self.order)
        });
        Ok(TaskPage { tasks, next })
    }
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
        trail: Vec::new(),
    };
    details::describe(row, 13, &mut task)?;
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
