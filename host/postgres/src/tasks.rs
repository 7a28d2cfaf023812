//! Reads of tasks.

use std::fmt::Write;

use batchtask_guest::journal::{TRAIL_STEPS_MAX, ranks};
use batchtask_journal::cursor::TaskKey;
use batchtask_journal::page::{Page, task_bytes};
use batchtask_journal::search::SearchText;
use batchtask_journal::stored::{flags_from_bits, saturated, unsigned};
use batchtask_journal::{
    Class, Error, StatusCounts, Step, Summary, TRAIL_BYTES_MAX, Task, TaskOrder, TaskPage,
    TaskQuery,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::details;
use crate::events::{SENT_BYTES_MAX, rows};
use crate::link::Parameter;
use crate::readers::Readers;
use crate::values::{from_stored, to_stored};

/// The columns of a task `t` and its trail, see [`TRAIL`].
const COLUMNS: &str = "t.app_id, t.task_id, t.task_type, t.status, t.status_desc, \
     t.occurred_at_ms, t.rank, t.first_occurred_at_ms, t.last_received_at_ms, t.events, \
     t.duplicates, t.flags, t.request_ids, t.id, trail.statuses, trail.times, d.facts";

/// Joins the details of a task `t`.
const DETAILS: &str = "LEFT JOIN batchtask.details AS d ON d.task = t.id";

/// Joins the last 64 steps of a task `t`, newest first. It stops before the statuses
/// exceed 32 KiB as they are stored, so that a page of tasks with long statuses is
/// not larger than a page can be; the state itself is always included.
const TRAIL: &str = "CROSS JOIN LATERAL ( \
         SELECT array_agg(s.status ORDER BY s.place) AS statuses, \
             array_agg(s.occurred_at_ms ORDER BY s.place) AS times \
         FROM (SELECT e.status, e.occurred_at_ms, row_number() OVER w AS place, \
                 sum(octet_length(e.status)) OVER w AS bytes \
             FROM (SELECT * FROM batchtask.events AS e WHERE e.task = t.id \
                 ORDER BY e.occurred_at_ms DESC, e.rank DESC, e.digest DESC LIMIT 64) AS e \
             WINDOW w AS (ORDER BY e.occurred_at_ms DESC, e.rank DESC, e.digest DESC)) AS s \
         WHERE s.place = 1 OR s.bytes <= 2 * 16384 \
     ) AS trail";

/// Returns the task with these ids.
pub(crate) async fn find(
    readers: &Readers,
    app_id: &str,
    task_id: &str,
) -> Result<Option<Task>, Error> {
    let sql = format!(
        "SELECT {COLUMNS}, d.failed_devices FROM batchtask.tasks AS t {TRAIL} {DETAILS} \
         WHERE t.key = batchtask.task_key($1, $2)"
    );
    let ids = [to_stored(app_id), to_stored(task_id)];
    let rows = readers
        .read(&sql, &[(&ids[0], Type::TEXT), (&ids[1], Type::TEXT)])
        .await?;
    let task = rows.first().map(from_row).transpose();
    task.map_err(|error| readers.unreadable(&error))
}

/// A statement that is composed of fixed texts, and the values of its parameters.
pub(crate) struct Listing {
    conditions: String,
    values: Vec<(Box<dyn ToSql + Send + Sync>, Type)>,
    order: TaskOrder,
    limit: u32,
}

impl Listing {
    /// Composes the statement of `query`.
    pub(crate) fn new(query: &TaskQuery) -> Result<Self, Error> {
        let text = SearchText::of(query)?;
        let cursor = query.cursor.as_deref();
        let after = cursor.map(|text| TaskKey::decode(text, query.order));
        let after = after.transpose()?;
        let mut listing = Self {
            conditions: String::from("true"),
            values: Vec::new(),
            order: query.order,
            limit: query.limit,
        };
        listing.filter(query);
        if let Some(text) = text {
            listing.search(&text);
        }
        if let Some(key) = after {
            listing.after(&key);
        }
        Ok(listing)
    }

    fn filter(&mut self, query: &TaskQuery) {
        let text = |text: &String| to_stored(text).into_owned();
        if let Some(status) = &query.status {
            // The first condition uses an index.
            let status = self.value(text(status), Type::TEXT);
            self.and(format_args!(
                "t.short_status = left({status}, 257) AND t.status = {status}"
            ));
        }
        if let Some(class) = query.class {
            let (least, greatest) = ranks(class).into_inner();
            let least = self.value(i16::from(least), Type::INT2);
            let greatest = self.value(i16::from(greatest), Type::INT2);
            self.and(format_args!("t.rank BETWEEN {least} AND {greatest}"));
        }
        if let Some(task_type) = &query.task_type {
            let task_type = self.value(text(task_type), Type::TEXT);
            self.and(format_args!("t.task_type = {task_type}"));
        }
        if let Some(app_id) = &query.app_id {
            let app_id = self.value(text(app_id), Type::TEXT);
            self.and(format_args!("t.app_id = {app_id}"));
        }
        if let Some(since_ms) = query.since_ms {
            let since_ms = self.value(saturated(since_ms), Type::INT8);
            self.and(format_args!("t.occurred_at_ms >= {since_ms}"));
        }
        if let Some(until_ms) = query.until_ms {
            let until_ms = self.value(saturated(until_ms), Type::INT8);
            self.and(format_args!("t.occurred_at_ms < {until_ms}"));
        }
    }

    /// Restricts the list to tasks that contain the text. In the collation "C",
    /// `lower` changes ASCII letters only.
    fn search(&mut self, text: &SearchText) {
        let text = self.value(to_stored(text.lower_case()).into_owned(), Type::TEXT);
        let fields = ["task_id", "app_id", "task_type", "status_desc"];
        let found = fields.map(|field| format!("strpos(lower(t.{field}), {text}) > 0"));
        self.and(format_args!("({})", found.join(" OR ")));
    }

    /// Restricts the list to tasks after `key`. The first condition uses an index;
    /// the second one skips tasks of the same time that come before `key`. Of a task
    /// that was pruned, the ids are not known, so tasks of its time are listed
    /// again.
    fn after(&mut self, key: &TaskKey) {
        let at_ms = self.value(key.occurred_at_ms, Type::INT8);
        let id = self.value(key.id, Type::INT8);
        let (through, beyond) = match self.order {
            TaskOrder::Newest => ("<=", "<"),
            TaskOrder::Oldest => (">=", ">"),
        };
        self.and(format_args!(
            "t.occurred_at_ms {through} {at_ms} AND (t.occurred_at_ms {beyond} {at_ms} \
             OR coalesce((t.app_id, t.task_id) > \
                 (SELECT k.app_id, k.task_id FROM batchtask.tasks AS k WHERE k.id = {id}), true))"
        ));
    }

    /// Adds a value, and returns the name of its parameter.
    fn value(&mut self, value: impl ToSql + Send + Sync + 'static, type_of_value: Type) -> String {
        self.values.push((Box::new(value), type_of_value));
        format!("${}", self.values.len())
    }

    fn and(&mut self, condition: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = write!(self.conditions, " AND {condition}");
    }

    /// Reads the page.
    pub(crate) async fn read(mut self, readers: &Readers) -> Result<TaskPage, Error> {
        let mut page = Page::new(self.limit);
        let limit = self.value(rows(&page), Type::INT8);
        let bytes = self.value(SENT_BYTES_MAX, Type::INT8);
        let sql = self.sql(&limit, &bytes);
        let values: Vec<Parameter<'_>> = self
            .values
            .iter()
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect();
        let found = readers.read(&sql, &values).await?;
        let last = fill(&mut page, &found).map_err(|error| readers.unreadable(&error))?;
        let (tasks, next) = page.finish(|task| {
            let occurred_at_ms = saturated(task.occurred_at_ms);
            let key = TaskKey {
                occurred_at_ms,
                id: last,
            };
            key.encode(self.order)
        });
        Ok(TaskPage { tasks, next })
    }

    /// Returns the statement: selects the rows of the page, then those that are
    /// sent, and then their content.
    fn sql(&self, limit: &str, bytes: &str) -> String {
        let conditions = &self.conditions;
        let order = |table: &str| match self.order {
            TaskOrder::Newest => {
                format!("{table}.occurred_at_ms DESC, {table}.app_id, {table}.task_id")
            }
            TaskOrder::Oldest => format!("{table}.occurred_at_ms, {table}.app_id, {table}.task_id"),
        };
        let (inner, outer) = (order("t"), order("page"));
        format!(
            "WITH page AS ( \
                 SELECT t.id, t.occurred_at_ms, t.app_id, t.task_id, \
                     256 + octet_length(t.status_desc) + octet_length(t.status) \
                         + octet_length(t.task_type) + octet_length(t.app_id) \
                         + octet_length(t.task_id) AS size \
                 FROM batchtask.tasks AS t WHERE {conditions} ORDER BY {inner} LIMIT {limit} \
             ), sent AS ( \
                 SELECT page.id, row_number() OVER w AS place, lead(page.id) OVER w IS NOT NULL AS more, \
                     coalesce(sum(page.size) OVER \
                         (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
                 FROM page WINDOW w AS (ORDER BY {outer}) \
             ) SELECT {COLUMNS}, NULL::text, sent.more FROM sent \
             JOIN batchtask.tasks AS t ON t.id = sent.id {TRAIL} {DETAILS} \
             WHERE sent.before < {bytes} ORDER BY sent.place"
        )
    }
}

/// Fills the page, and returns the id of its last task.
fn fill(page: &mut Page<Task>, rows: &[Row]) -> Result<i64, tokio_postgres::Error> {
    let (mut last, mut more) = (0, false);
    for row in rows {
        if page.is_full() {
            return Ok(last);
        }
        last = row.try_get(13)?;
        more = row.try_get(18)?;
        let task = from_row(row)?;
        let bytes = task_bytes(&task);
        page.push(task, bytes);
    }
    if more {
        // The rest was not sent, because the page is full.
        page.is_full();
    }
    Ok(last)
}

/// Returns counts over all tasks.
pub(crate) async fn summarize(readers: &Readers, stale_before_ms: u64) -> Result<Summary, Error> {
    let sql = "SELECT totals.last_received_at_ms, c.short_status, c.rank, c.tasks, c.stale \
         FROM batchtask.totals LEFT JOIN ( \
             SELECT t.short_status, t.rank, count(*) AS tasks, \
                 count(*) FILTER (WHERE t.last_received_at_ms < $1) AS stale \
             FROM batchtask.tasks AS t GROUP BY t.rank, t.short_status) AS c ON true \
         ORDER BY c.rank, c.short_status";
    let stale_before_ms = saturated(stale_before_ms);
    let rows = readers.read(sql, &[(&stale_before_ms, Type::INT8)]).await?;
    summary(&rows).map_err(|error| readers.unreadable(&error))
}

fn summary(rows: &[Row]) -> Result<Summary, tokio_postgres::Error> {
    let (mut counts, mut stale) = (StatusCounts::default(), 0);
    let mut last_received_at_ms: Option<i64> = None;
    for row in rows {
        last_received_at_ms = row.try_get(0)?;
        // Without tasks, there is one row without counts.
        let Some(status) = row.try_get::<_, Option<String>>(1)? else {
            break;
        };
        let rank: i16 = row.try_get(2)?;
        let rank = u8::try_from(rank).unwrap_or(0);
        counts.add(rank, &from_stored(status), unsigned(row.try_get(3)?));
        if ranks(Class::Open).contains(&rank) {
            stale += unsigned(row.try_get(4)?);
        }
    }
    Ok(Summary {
        statuses: counts.finish(),
        last_received_at_ms: last_received_at_ms.map(unsigned),
        stale: Some(stale),
        notices: Vec::new(),
    })
}

fn from_row(row: &Row) -> Result<Task, tokio_postgres::Error> {
    let text = |column| row.try_get(column).map(from_stored);
    let number = |column| row.try_get(column).map(unsigned);
    let rank: i16 = row.try_get(6)?;
    let request_ids: Vec<String> = row.try_get(12)?;
    let mut task = Task {
        app_id: text(0)?,
        task_id: text(1)?,
        task_type: text(2)?,
        status: text(3)?,
        status_desc: text(4)?,
        occurred_at_ms: number(5)?,
        rank: u8::try_from(rank).unwrap_or(0),
        first_occurred_at_ms: number(7)?,
        last_received_at_ms: number(8)?,
        events: number(9)?,
        duplicates: number(10)?,
        flags: flags_from_bits(row.try_get::<_, i32>(11)?),
        name: None,
        policy: None,
        progress: None,
        failed_devices: Vec::new(),
        request_ids: request_ids.into_iter().map(from_stored).collect(),
        trail: trail(row)?,
    };
    details::describe(row, 16, &mut task)?;
    Ok(task)
}

/// Returns the last steps of a task, in order.
fn trail(row: &Row) -> Result<Vec<Step>, tokio_postgres::Error> {
    let statuses: Option<Vec<String>> = row.try_get(14)?;
    let times: Option<Vec<i64>> = row.try_get(15)?;
    let newest_first = statuses.unwrap_or_default().into_iter();
    let newest_first = newest_first.zip(times.unwrap_or_default());
    let (mut steps, mut bytes) = (Vec::new(), 0);
    for (status, occurred_at_ms) in newest_first.take(TRAIL_STEPS_MAX) {
        if bytes >= TRAIL_BYTES_MAX {
            break;
        }
        let status = from_stored(status);
        bytes += status.len();
        let occurred_at_ms = unsigned(occurred_at_ms);
        steps.push(Step {
            status,
            occurred_at_ms,
        });
    }
    steps.reverse();
    Ok(steps)
}
