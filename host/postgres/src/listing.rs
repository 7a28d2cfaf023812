//! [`Listing`]: reads a page of a list of tasks.

use std::fmt::Write;

use batchtask_guest::journal::ranks;
use batchtask_journal::cursor::{SortValue, TaskKey};
use batchtask_journal::list::{COUNTED_ROWS_MAX, TaskRows};
use batchtask_journal::search::SearchText;
use batchtask_journal::stored::{flags_to_bits, saturated, steps_to_bits, unsigned};
use batchtask_journal::{Class, Error, TaskPage, TaskQuery, TaskSort};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::events::SENT_BYTES_MAX;
use crate::link::Parameter;
use crate::readers::Readers;
use crate::tasks::{COLUMNS, DETAILS, TRAIL, from_row};
use crate::values::to_stored;

/// The columns of a row after those of its task: whether there are more rows, and
/// what the task is sorted by.
const MORE: usize = 19;
const KEY: usize = 20;

/// A statement that is composed of fixed texts, and the values of its parameters.
pub(crate) struct Listing {
    filters: String,
    values: Vec<(Box<dyn ToSql + Send + Sync>, Type)>,
    rows: TaskRows,
    sort: TaskSort,
    is_counted: bool,
}

impl Listing {
    /// Composes the statement of `query`.
    pub(crate) fn new(query: &TaskQuery) -> Result<Self, Error> {
        let text = SearchText::of(query)?;
        let mut listing = Self {
            filters: String::from("true"),
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
        if !query.statuses.is_empty() {
            // The first condition uses an index.
            let statuses = self.texts(&query.statuses);
            self.and(format_args!(
                "t.short_status = ANY (SELECT left(s, 257) FROM unnest({statuses}) AS s) \
                 AND t.status = ANY ({statuses})"
            ));
        }
        if !query.task_types.is_empty() {
            let task_types = self.texts(&query.task_types);
            self.and(format_args!("t.task_type = ANY ({task_types})"));
        }
        if !query.app_ids.is_empty() {
            let app_ids = self.texts(&query.app_ids);
            self.and(format_args!("t.app_id = ANY ({app_ids})"));
        }
        if !query.classes.is_empty() {
            let classes = query.classes.iter();
            let ranks = classes.flat_map(|class| ranks(*class)).map(i16::from);
            let ranks = self.value(ranks.collect::<Vec<_>>(), Type::INT2_ARRAY);
            self.and(format_args!("t.rank = ANY ({ranks})"));
        }
        if query.has_flags() {
            let flags = self.value(i32::from(flags_to_bits(query.flags)), Type::INT4);
            let steps = self.value(i32::from(steps_to_bits(query.steps)), Type::INT4);
            self.and(format_args!(
                "(t.flags & {flags} <> 0 OR t.steps & {steps} <> 0)"
            ));
        }
        if let Some(before_ms) = query.stale_before_ms {
            let open = *ranks(Class::Open).end();
            let open = self.value(i16::from(open), Type::INT2);
            let before_ms = self.value(saturated(before_ms), Type::INT8);
            self.and(format_args!(
                "t.rank <= {open} AND t.last_received_at_ms < {before_ms}"
            ));
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

    /// Returns the condition of tasks after `key` in the direction of reading.
    fn after(&mut self, key: &TaskKey) -> String {
        let id = self.value(key.id, Type::INT8);
        let beyond = if self.rows.is_ascending() { ">" } else { "<" };
        match &key.value {
            SortValue::Time(at_ms) if self.sort == TaskSort::Changed => {
                self.after_change(*at_ms, &id, beyond)
            }
            value => {
                let values = match value {
                    SortValue::Time(at_ms) => self.value(*at_ms, Type::INT8),
                    SortValue::Status(rank, status) => {
                        let rank = self.value(i16::from(*rank), Type::INT2);
                        let status = self.value(status.clone(), Type::TEXT);
                        format!("{rank}, {status}")
                    }
                    SortValue::Id(text) => self.value(text.clone(), Type::TEXT),
                };
                let columns = columns(self.sort).join(", ");
                format!("({columns}, t.id) {beyond} ({values}, {id})")
            }
        }
    }

    /// The same for a list by the last change. The first condition uses an index; the
    /// second one skips tasks of the same time that come before `key`. Of a task that
    /// was pruned, the ids are not known, so tasks of its time are listed again.
    fn after_change(&mut self, at_ms: i64, id: &str, beyond: &str) -> String {
        let at_ms = self.value(at_ms, Type::INT8);
        let tie = if self.rows.is_backward() { "<" } else { ">" };
        format!(
            "t.occurred_at_ms {beyond}= {at_ms} AND (t.occurred_at_ms {beyond} {at_ms} \
             OR coalesce((t.app_id, t.task_id) {tie} \
                 (SELECT k.app_id, k.task_id FROM batchtask.tasks AS k WHERE k.id = {id}), true))"
        )
    }

    fn texts(&mut self, texts: &[String]) -> String {
        let texts: Vec<_> = texts
            .iter()
            .map(|text| to_stored(text).into_owned())
            .collect();
        self.value(texts, Type::TEXT_ARRAY)
    }

    /// Adds a value, and returns the name of its parameter.
    fn value(&mut self, value: impl ToSql + Send + Sync + 'static, type_of_value: Type) -> String {
        self.values.push((Box::new(value), type_of_value));
        format!("${}", self.values.len())
    }

    fn and(&mut self, condition: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = write!(self.filters, " AND {condition}");
    }

    /// Reads the page.
    pub(crate) async fn read(mut self, readers: &Readers) -> Result<TaskPage, Error> {
        let count = self.count(readers).await?;
        let key = self.rows.after().cloned();
        let after = key.map_or_else(|| String::from("true"), |key| self.after(&key));
        let rows = i64::try_from(self.rows.rows()).unwrap_or(i64::MAX);
        let limit = self.value(rows, Type::INT8);
        let bytes = self.value(SENT_BYTES_MAX, Type::INT8);
        let sql = self.sql(&after, &limit, &bytes);
        let found = readers.read(&sql, &self.parameters()).await?;
        self.fill(&found)
            .map_err(|error| readers.unreadable(&error))?;
        Ok(self.rows.finish(count))
    }

    /// Counts the tasks of all pages, if this was requested.
    async fn count(&self, readers: &Readers) -> Result<Option<u64>, Error> {
        if !self.is_counted {
            return Ok(None);
        }
        let sql = format!(
            "SELECT count(*) FROM (SELECT FROM batchtask.tasks AS t WHERE {} \
             LIMIT {COUNTED_ROWS_MAX}) AS found",
            self.filters
        );
        let found = readers.read(&sql, &self.parameters()).await?;
        let count = found.first().map(|row| row.try_get(0)).transpose();
        let count = count.map_err(|error| readers.unreadable(&error))?;
        Ok(count.map(unsigned))
    }

    fn parameters(&self) -> Vec<Parameter<'_>> {
        let values = self.values.iter();
        values
            .map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()))
            .collect()
    }

    /// Returns the statement: selects the rows of the page, then those that are
    /// sent, and then their content.
    fn sql(&self, after: &str, limit: &str, bytes: &str) -> String {
        let filters = &self.filters;
        let columns = columns(self.sort);
        let names = ["key0", "key1"].into_iter().take(columns.len());
        let selected = columns.iter().zip(names.clone());
        let selected = selected.map(|(column, name)| format!("{column} AS {name}"));
        let selected = selected.collect::<Vec<_>>().join(", ");
        let (inner, names) = (self.order("t", columns), names.collect::<Vec<_>>());
        let (outer, names) = (self.order("page", &names), names.join(", "));
        format!(
            "WITH page AS ( \
                 SELECT t.id, t.app_id, t.task_id, {selected}, \
                     256 + octet_length(t.status_desc) + octet_length(t.status) \
                         + octet_length(t.task_type) + octet_length(t.app_id) \
                         + octet_length(t.task_id) AS size \
                 FROM batchtask.tasks AS t WHERE {filters} AND {after} \
                 ORDER BY {inner} LIMIT {limit} \
             ), sent AS ( \
                 SELECT page.id, {names}, row_number() OVER w AS place, \
                     lead(page.id) OVER w IS NOT NULL AS more, \
                     coalesce(sum(page.size) OVER \
                         (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
                 FROM page WINDOW w AS (ORDER BY {outer}) \
             ) SELECT {COLUMNS}, NULL::text, sent.more, {names} FROM sent \
             JOIN batchtask.tasks AS t ON t.id = sent.id {TRAIL} {DETAILS} \
             WHERE sent.before < {bytes} ORDER BY sent.place"
        )
    }

    /// Returns the order of the rows of a table, in the direction of reading.
    fn order(&self, table: &str, columns: &[&str]) -> String {
        let direction = if self.rows.is_ascending() {
            ""
        } else {
            " DESC"
        };
        let columns = columns.iter();
        let columns: String = columns
            .map(|column| format!("{column}{direction}, "))
            .collect();
        if self.sort == TaskSort::Changed {
            let tie = if self.rows.is_backward() { " DESC" } else { "" };
            return format!("{columns}{table}.app_id{tie}, {table}.task_id{tie}");
        }
        format!("{columns}{table}.id{direction}")
    }

    /// Adds the rows to the page.
    fn fill(&mut self, rows: &[Row]) -> Result<(), tokio_postgres::Error> {
        let mut more = false;
        for row in rows {
            if self.rows.is_full() {
                return Ok(());
            }
            more = row.try_get(MORE)?;
            self.rows.push(from_row(row)?, key(row, self.sort)?);
        }
        if more {
            // The rest was not sent, because the page is full.
            self.rows.is_full();
        }
        Ok(())
    }
}

/// Returns what tasks are sorted by, before their ids or their row number.
fn columns(sort: TaskSort) -> &'static [&'static str] {
    match sort {
        TaskSort::Changed => &["t.occurred_at_ms"],
        TaskSort::FirstSeen => &["t.first_occurred_at_ms"],
        TaskSort::Status => &["t.rank", "left(t.status, 32)"],
        TaskSort::Application => &["left(t.app_id, 64)"],
        TaskSort::Task => &["left(t.task_id, 64)"],
    }
}

/// Returns the key of a row: its id, and the [`columns`]. A text stays as it is
/// stored, because its end may be a part of an escape.
fn key(row: &Row, sort: TaskSort) -> Result<TaskKey, tokio_postgres::Error> {
    let value = match sort {
        TaskSort::Changed | TaskSort::FirstSeen => SortValue::Time(row.try_get(KEY)?),
        TaskSort::Status => {
            let rank: i16 = row.try_get(KEY)?;
            let rank = u8::try_from(rank).unwrap_or(0);
            SortValue::Status(rank, row.try_get(KEY + 1)?)
        }
        TaskSort::Application | TaskSort::Task => SortValue::Id(row.try_get(KEY)?),
    };
    Ok(TaskKey {
        value,
        id: row.try_get(13)?,
    })
}
