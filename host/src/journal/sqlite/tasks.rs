//! Reading tasks.

use batchtask_guest::journal::StatusCounts;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::cursor::TaskKey;
use super::reader::Page;
use super::record::{MAX_LISTED_REQUEST_ID_BYTES, MAX_REQUEST_IDS};
use super::values::{ROW_OVERHEAD_BYTES, oddities_from_bits, saturated, unsigned};
use crate::journal::{Error, StatusCount, Step, Summary, Task, TaskOrder, TaskPage, TaskQuery};

/// How many steps a trail has at most.
const MAX_TRAIL_STEPS: i64 = 64;
/// A trail ends with the step that reaches this, for a status may be any text.
const MAX_TRAIL_BYTES: usize = 16 * 1024;

/// Longer texts are not looked for; SQLite takes patterns of 50,000 bytes.
const MAX_TEXT_BYTES: usize = 4096;

const COLUMNS: &str = "SELECT id, app_id, task_id, task_type, status, status_desc, \
     occurred_at_ms, rank, first_occurred_at_ms, last_received_at_ms, events, duplicates, oddities \
     FROM tasks";

/// One task.
pub(super) fn find(
    connection: &Connection,
    app_id: &str,
    task_id: &str,
) -> rusqlite::Result<Option<Task>> {
    let sql = format!("{COLUMNS} WHERE app_id = ?1 AND task_id = ?2");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([app_id, task_id], |row| Ok((row.get(0)?, from_row(row)?)))
        .optional()?;
    let Some((id, task)) = found else {
        return Ok(None);
    };
    complete(connection, id, task).map(Some)
}

/// A statement put together from fixed texts, and what is bound to it.
pub(super) struct Listing {
    sql: String,
    values: Vec<Value>,
    order: TaskOrder,
    limit: u32,
}

impl Listing {
    /// The statement that answers `query`.
    pub(super) fn new(query: TaskQuery) -> Result<Self, Error> {
        // Named, because the planner would take the index of the primary key
        // for a resource space and sort all its tasks.
        // No index holds the texts that a search looks through: in the order of
        // the table it takes a fifth of the time that it takes in theirs.
        let index = match (&query.text, &query.status) {
            (Some(_), _) => " NOT INDEXED WHERE TRUE",
            (None, Some(_)) => " INDEXED BY tasks_by_status WHERE TRUE",
            (None, None) => " INDEXED BY tasks_by_time WHERE TRUE",
        };
        let mut listing = Self {
            sql: format!("{COLUMNS}{index}"),
            values: Vec::new(),
            order: query.order,
            limit: query.limit,
        };
        let cursor = query.cursor.as_deref();
        let after = cursor
            .map(|text| TaskKey::decode(text, query.order))
            .transpose()?;
        if query
            .text
            .as_ref()
            .is_some_and(|text| text.len() > MAX_TEXT_BYTES)
        {
            return Err(Error::Unsupported(format!(
                "a text to look for has at most {MAX_TEXT_BYTES} bytes"
            )));
        }
        listing.filter(query);
        if let Some(key) = after {
            listing.after(key);
        }
        listing.sql.push_str(match listing.order {
            TaskOrder::Newest => " ORDER BY occurred_at_ms DESC, app_id, task_id LIMIT ?",
            TaskOrder::Oldest => " ORDER BY occurred_at_ms, app_id, task_id LIMIT ?",
        });
        Ok(listing)
    }

    fn filter(&mut self, query: TaskQuery) {
        if let Some(status) = query.status {
            self.and("status = ?", [status]);
        }
        let (least, greatest) = query.ranks;
        if (least, greatest) != (u8::MIN, u8::MAX) {
            self.and("rank BETWEEN ? AND ?", [least, greatest]);
        }
        if let Some(task_type) = query.task_type {
            self.and("task_type = ?", [task_type]);
        }
        if let Some(app_id) = query.app_id {
            self.and("app_id = ?", [app_id]);
        }
        if let Some(since_ms) = query.since_ms {
            self.and("occurred_at_ms >= ?", [saturated(since_ms)]);
        }
        if let Some(until_ms) = query.until_ms {
            self.and("occurred_at_ms < ?", [saturated(until_ms)]);
        }
        if let Some(text) = query.text {
            let pattern = containing(&text);
            self.and(
                "(task_id LIKE ? ESCAPE '\\' OR app_id LIKE ? ESCAPE '\\' \
                 OR task_type LIKE ? ESCAPE '\\' OR status_desc LIKE ? ESCAPE '\\')",
                [pattern.clone(), pattern.clone(), pattern.clone(), pattern],
            );
        }
    }

    /// Only what comes after `key`. The first comparison is what the index is
    /// entered by; the second leaves out the rest of that instant.
    fn after(&mut self, key: TaskKey) {
        let instant = key.occurred_at_ms;
        let (enter, beyond) = match self.order {
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
        self.and(enter, [instant]);
        self.and(beyond, [instant, key.id]);
    }

    fn and<V: Into<Value>, const N: usize>(&mut self, condition: &'static str, values: [V; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values.map(Into::into));
    }

    /// The page.
    pub(super) fn read(mut self, connection: &Connection) -> rusqlite::Result<TaskPage> {
        let mut page = Page::new(self.limit);
        self.values.push(page.rows().into());
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        let mut last = 0;
        while let Some(row) = rows.next()? {
            if page.is_full() {
                break;
            }
            last = row.get(0)?;
            let task = complete(connection, last, from_row(row)?)?;
            let bytes = bytes(&task);
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

/// The greatest rank of a task that is still open.
const OPEN_RANK_MAX: u8 = 3;

/// The journal at a glance.
pub(super) fn summarize(
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
        if rank <= OPEN_RANK_MAX {
            stale += unsigned(row.get(3)?);
        }
    }
    let last: Option<i64> = connection
        .prepare_cached("SELECT last_received_at_ms FROM totals")?
        .query_row([], |row| row.get(0))?;
    Ok(Summary {
        statuses: counts
            .finish()
            .into_iter()
            .map(|count| StatusCount {
                status: count.status,
                rank: count.rank,
                tasks: count.tasks,
            })
            .collect(),
        last_received_at_ms: last.map(unsigned),
        stale: Some(stale),
    })
}

/// The pattern of `LIKE`, which folds ASCII letters only, for all that
/// contains `text`.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        app_id: row.get(1)?,
        task_id: row.get(2)?,
        task_type: row.get(3)?,
        status: row.get(4)?,
        status_desc: row.get(5)?,
        occurred_at_ms: unsigned(row.get(6)?),
        rank: row.get(7)?,
        first_occurred_at_ms: unsigned(row.get(8)?),
        last_received_at_ms: unsigned(row.get(9)?),
        events: unsigned(row.get(10)?),
        duplicates: unsigned(row.get(11)?),
        oddities: oddities_from_bits(row.get(12)?),
        request_ids: Vec::new(),
        trail: Vec::new(),
    })
}

/// Adds what the events of the task tell.
fn complete(connection: &Connection, id: i64, task: Task) -> rusqlite::Result<Task> {
    Ok(Task {
        request_ids: request_ids(connection, id)?,
        trail: trail(connection, id)?,
        ..task
    })
}

fn trail(connection: &Connection, id: i64) -> rusqlite::Result<Vec<Step>> {
    let sql = "SELECT status, occurred_at_ms FROM events INDEXED BY events_by_time \
               WHERE task = ?1 ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id, MAX_TRAIL_STEPS])?;
    let (mut steps, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_TRAIL_BYTES
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

fn request_ids(connection: &Connection, id: i64) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT request_id FROM events INDEXED BY events_by_time \
               WHERE task = ?1 AND octet_length(request_id) <= ?2 \
               UNION SELECT request_id FROM repeats WHERE task = ?1 \
               ORDER BY request_id LIMIT ?3";
    connection
        .prepare_cached(sql)?
        .query_map(
            params![id, MAX_LISTED_REQUEST_ID_BYTES, MAX_REQUEST_IDS],
            |row| row.get(0),
        )?
        .collect()
}

/// About how many bytes a task takes on a page.
fn bytes(task: &Task) -> usize {
    /// The number and the punctuation beside a status.
    const STEP_BYTES: usize = 32;
    ROW_OVERHEAD_BYTES
        + task.app_id.len()
        + task.task_id.len()
        + task.task_type.len()
        + task.status.len()
        + task.status_desc.len()
        + task.request_ids.iter().map(String::len).sum::<usize>()
        + task
            .trail
            .iter()
            .map(|step| step.status.len() + STEP_BYTES)
            .sum::<usize>()
}
