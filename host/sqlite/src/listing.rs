//! [`Listing`]: reads a page of a list of tasks.

use batchtask_guest::journal::ranks;
use batchtask_journal::cursor::{SortValue, TaskKey};
use batchtask_journal::list::{COUNTED_ROWS_MAX, TaskRows};
use batchtask_journal::search::SearchText;
use batchtask_journal::stored::{flags_to_bits, saturated, steps_to_bits, unsigned};
use batchtask_journal::{Class, Error, TaskPage, TaskQuery, TaskSort};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::tasks::task_of_id;

/// A statement that is composed of fixed texts, and the values bound to it. It
/// selects only the ids of the rows of a page and what they are sorted by.
pub(crate) struct Listing {
    /// The table, with the index to use.
    table: &'static str,
    filters: String,
    values: Vec<Value>,
    rows: TaskRows,
    sort: TaskSort,
    is_counted: bool,
}

impl Listing {
    /// Composes the statement of `query`.
    pub(crate) fn new(query: &TaskQuery) -> Result<Self, Error> {
        let text = SearchText::of(query)?;
        // The index is named, because for an application the planner would choose
        // the index of the ids, and sort all tasks of the application. A search
        // reads texts that are in no index: in the order of the table it takes a
        // fifth of the time that it takes in the order of an index.
        let table = if text.is_some() {
            "tasks NOT INDEXED"
        } else if query.statuses.is_empty() {
            "tasks INDEXED BY tasks_by_time"
        } else {
            "tasks INDEXED BY tasks_by_status"
        };
        let mut listing = Self {
            table,
            filters: String::from("TRUE"),
            values: Vec::new(),
            rows: TaskRows::new(query)?,
            sort: query.sort,
            is_counted: query.count,
        };
        listing.filter(query);
        if let Some(text) = text {
            listing.search(&text);
        }
        Ok(listing)
    }

    fn filter(&mut self, query: &TaskQuery) {
        self.among("status", &query.statuses);
        self.among("task_type", &query.task_types);
        self.among("app_id", &query.app_ids);
        if !query.classes.is_empty() {
            let classes = query.classes.iter();
            let ranks = classes.flat_map(|class| ranks(*class)).map(i64::from);
            self.among("rank", &ranks.collect::<Vec<_>>());
        }
        if query.has_flags() {
            let (flags, steps) = (flags_to_bits(query.flags), steps_to_bits(query.steps));
            let bits = [i64::from(flags), i64::from(steps)];
            self.and("(flags & ? <> 0 OR steps & ? <> 0)", bits);
        }
        if let Some(before_ms) = query.stale_before_ms {
            let (least, greatest) = ranks(Class::Open).into_inner();
            let ranks = [least, greatest].map(i64::from);
            self.and("rank BETWEEN ? AND ?", ranks);
            self.and("last_received_at_ms < ?", [saturated(before_ms)]);
        }
        if let Some(since_ms) = query.since_ms {
            self.and("occurred_at_ms >= ?", [saturated(since_ms)]);
        }
        if let Some(until_ms) = query.until_ms {
            self.and("occurred_at_ms < ?", [saturated(until_ms)]);
        }
    }

    /// Restricts the list to tasks with one of these values, if there are any.
    fn among<V: Clone + Into<Value>>(&mut self, column: &str, values: &[V]) {
        if values.is_empty() {
            return;
        }
        // An equality keeps the order of the index.
        let condition = match values.len() {
            1 => format!("{column} = ?"),
            count => format!("{column} IN ({})", vec!["?"; count].join(", ")),
        };
        self.values.extend(values.iter().cloned().map(V::into));
        self.filters = format!("{} AND {condition}", self.filters);
    }

    /// Restricts the list to tasks that contain the text, see
    /// [`add_search`](crate::tasks::add_search).
    fn search(&mut self, text: &SearchText) {
        self.and(
            "contains_text(?, task_id, app_id, task_type, status_desc)",
            [text.lower_case().to_owned()],
        );
    }

    /// Adds a condition and the values of its parameters.
    fn and<V: Into<Value>, const N: usize>(&mut self, condition: &str, values: [V; N]) {
        self.filters = format!("{} AND {condition}", self.filters);
        self.values.extend(values.map(Into::into));
    }

    /// Reads the page.
    pub(crate) fn read(mut self, connection: &Connection) -> rusqlite::Result<TaskPage> {
        let count = self.count(connection)?;
        let columns = columns(self.sort).join(", ");
        let mut sql = format!(
            "SELECT id, {columns} FROM {} WHERE {}",
            self.table, self.filters
        );
        if let Some(key) = self.rows.after().cloned() {
            sql = format!("{sql} AND {}", self.after(key));
        }
        let rows = i64::try_from(self.rows.rows()).unwrap_or(i64::MAX);
        self.values.push(rows.into());
        sql = format!("{sql} ORDER BY {} LIMIT ?", self.order());
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(&self.values))?;
        while let Some(row) = rows.next()? {
            if self.rows.is_full() {
                break;
            }
            let key = key(row, self.sort)?;
            let task = task_of_id(connection, key.id, false)?;
            self.rows.push(task, key);
        }
        Ok(self.rows.finish(count))
    }

    /// Counts the tasks of all pages, if this was requested.
    fn count(&self, connection: &Connection) -> rusqlite::Result<Option<u64>> {
        if !self.is_counted {
            return Ok(None);
        }
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} LIMIT {COUNTED_ROWS_MAX})",
            self.table, self.filters
        );
        let count: i64 = connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(&self.values), |row| row.get(0))?;
        Ok(Some(unsigned(count)))
    }

    /// Returns the condition of tasks after `key` in the direction of reading, and
    /// adds its values.
    fn after(&mut self, key: TaskKey) -> String {
        let beyond = if self.rows.is_ascending() { ">" } else { "<" };
        let id = Value::from(key.id);
        match key.value {
            // The first comparison uses the index; the second one skips tasks of the
            // same time that come before `key`.
            SortValue::Time(at_ms) if self.sort == TaskSort::Changed => {
                self.values.extend([at_ms.into(), at_ms.into(), id]);
                let tie = if self.rows.is_backward() { "<" } else { ">" };
                format!(
                    "occurred_at_ms {beyond}= ? AND (occurred_at_ms {beyond} ? \
                     OR (app_id, task_id) {tie} (SELECT app_id, task_id FROM tasks WHERE id = ?))"
                )
            }
            value => {
                let values: Vec<Value> = match value {
                    SortValue::Time(at_ms) => vec![at_ms.into()],
                    SortValue::Status(rank, status) => vec![i64::from(rank).into(), status.into()],
                    SortValue::Id(text) => vec![text.into()],
                };
                let columns = columns(self.sort).join(", ");
                let places = vec!["?"; values.len()].join(", ");
                self.values.extend(values);
                self.values.push(id);
                format!("({columns}, id) {beyond} ({places}, ?)")
            }
        }
    }

    /// Returns the order of the rows, in the direction of reading.
    fn order(&self) -> String {
        let direction = if self.rows.is_ascending() {
            ""
        } else {
            " DESC"
        };
        if self.sort == TaskSort::Changed {
            let tie = if self.rows.is_backward() { " DESC" } else { "" };
            return format!("occurred_at_ms{direction}, app_id{tie}, task_id{tie}");
        }
        let columns = columns(self.sort).iter().chain(&["id"]);
        let columns: Vec<_> = columns
            .map(|column| format!("{column}{direction}"))
            .collect();
        columns.join(", ")
    }
}

/// Returns what tasks are sorted by, before their ids or their row number.
fn columns(sort: TaskSort) -> &'static [&'static str] {
    match sort {
        TaskSort::Changed => &["occurred_at_ms"],
        TaskSort::FirstSeen => &["first_occurred_at_ms"],
        TaskSort::Status => &["rank", "substr(status, 1, 32)"],
        TaskSort::Application => &["substr(app_id, 1, 64)"],
        TaskSort::Task => &["substr(task_id, 1, 64)"],
    }
}

/// Returns the key of a row: its id, and the [`columns`].
fn key(row: &Row<'_>, sort: TaskSort) -> rusqlite::Result<TaskKey> {
    let value = match sort {
        TaskSort::Changed | TaskSort::FirstSeen => SortValue::Time(row.get(1)?),
        TaskSort::Status => SortValue::Status(row.get(1)?, row.get(2)?),
        TaskSort::Application | TaskSort::Task => SortValue::Id(row.get(1)?),
    };
    Ok(TaskKey {
        value,
        id: row.get(0)?,
    })
}
