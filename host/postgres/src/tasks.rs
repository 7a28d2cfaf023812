//! Reads of tasks.

use batchtask_guest::journal::{TRAIL_STEPS_MAX, ranks};
use batchtask_journal::stored::{flags_from_bits, saturated, steps_from_bits, unsigned};
use batchtask_journal::{Class, Error, StatusCounts, Step, Summary, TRAIL_BYTES_MAX, Task};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::details;
use crate::readers::Readers;
use crate::values::{from_stored, to_stored};

/// The columns of a task `t` and its trail, see [`TRAIL`].
pub(crate) const COLUMNS: &str = "t.app_id, t.task_id, t.task_type, t.status, t.status_desc, \
     t.occurred_at_ms, t.rank, t.first_occurred_at_ms, t.last_received_at_ms, t.events, \
     t.duplicates, t.flags, t.request_ids, t.id, trail.statuses, trail.times, t.steps, d.facts";

/// Joins the details of a task `t`.
pub(crate) const DETAILS: &str = "LEFT JOIN batchtask.details AS d ON d.task = t.id";

/// Joins the last 64 steps of a task `t`, newest first. It stops before the statuses
/// exceed 32 KiB as they are stored, so that a page of tasks with long statuses is
/// not larger than a page can be; the state itself is always included.
pub(crate) const TRAIL: &str = "CROSS JOIN LATERAL ( \
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
        sinks: None,
    })
}

pub(crate) fn from_row(row: &Row) -> Result<Task, tokio_postgres::Error> {
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
        steps: steps_from_bits(row.try_get::<_, i32>(16)?),
        trail: trail(row)?,
    };
    details::describe(row, 17, &mut task)?;
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
