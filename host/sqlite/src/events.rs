//! Reads of events: the history of a task, and the feed of all events.

use batchtask_guest::journal::REQUEST_IDS_MAX;
use batchtask_journal::cursor::EventKey;
use batchtask_journal::page::{Page, event_bytes};
use batchtask_journal::stored::{flags_from_bits, saturated, source_from_number, unsigned};
use batchtask_journal::{Event, HistoryPage, StoredEvent};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::request_ids::is_listed;
use crate::values::rows;

/// The columns that [`from_row`] reads, in its order.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT seq, task, tasks.app_id, tasks.task_id, events.task_type, events.status, ",
            "events.status_desc, event_time, event_time_ms, request_id, events.digest, ",
            "events.occurred_at_ms, events.rank, received_at_ms, events.flags, body, ",
            "events.duplicates, late, signature, source FROM ",
            $rest
        )
    };
}

/// Returns a page of the history of a task: the events after the key `after`, or
/// the first ones.
pub(crate) fn history(
    connection: &Connection,
    app_id: &str,
    task_id: &str,
    after: Option<EventKey>,
    limit: u32,
) -> rusqlite::Result<HistoryPage> {
    // This key sorts before all others, because a digest is not empty.
    let after = after.unwrap_or(EventKey {
        occurred_at_ms: i64::MIN,
        rank: 0,
        digest: Vec::new(),
    });
    let Some(task) = task_row(connection, app_id, task_id)? else {
        return Ok(HistoryPage {
            events: Vec::new(),
            previous_status: None,
            next: None,
        });
    };
    let sql = select_events!(
        "events INDEXED BY events_by_time JOIN tasks ON tasks.id = task \
         WHERE task = ?1 AND (events.occurred_at_ms, events.rank, events.digest) > (?2, ?3, ?4) \
         ORDER BY events.occurred_at_ms, events.rank, events.digest LIMIT ?5"
    );
    let mut page = Page::new(limit);
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query(params![
        task,
        after.occurred_at_ms,
        after.rank,
        after.digest,
        rows(&page)
    ])?;
    fill(connection, &mut page, rows)?;
    let (events, next) = page.finish(|stored| key(&stored.event).encode());
    let previous_status = match events.first() {
        Some(first) => previous_status(connection, task, &key(&first.event))?,
        None => None,
    };
    Ok(HistoryPage {
        events,
        previous_status,
        next,
    })
}

/// Returns a page of the feed: the events with a `seq` above `after`.
pub(crate) fn after(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let sql = select_events!(
        "events CROSS JOIN tasks ON tasks.id = task WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    );
    let mut page = Page::new(limit);
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query([saturated(after), rows(&page)])?;
    fill(connection, &mut page, rows)?;
    let (events, _) = page.finish(|_| String::new());
    Ok(events)
}

fn task_row(connection: &Connection, app_id: &str, task_id: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM tasks WHERE app_id = ?1 AND task_id = ?2")?
        .query_row([app_id, task_id], |row| row.get(0))
        .optional()
}

fn fill(
    connection: &Connection,
    page: &mut Page<StoredEvent>,
    mut rows: rusqlite::Rows<'_>,
) -> rusqlite::Result<()> {
    while let Some(row) = rows.next()? {
        if page.is_full() {
            break;
        }
        let stored = from_row(connection, row)?;
        let bytes = event_bytes(&stored.event);
        page.push(stored, bytes);
    }
    Ok(())
}

fn previous_status(
    connection: &Connection,
    task: i64,
    key: &EventKey,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT status FROM events INDEXED BY events_by_time \
               WHERE task = ?1 AND (occurred_at_ms, rank, digest) < (?2, ?3, ?4) \
               ORDER BY occurred_at_ms DESC, rank DESC, digest DESC LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row(
            params![task, key.occurred_at_ms, key.rank, key.digest],
            |row| row.get(0),
        )
        .optional()
}

fn from_row(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let (seq, task) = (row.get(0)?, row.get(1)?);
    let event = Event {
        app_id: row.get(2)?,
        task_id: row.get(3)?,
        task_type: row.get(4)?,
        status: row.get(5)?,
        status_desc: row.get(6)?,
        event_time: row.get(7)?,
        event_time_ms: row.get(8)?,
        request_id: row.get(9)?,
        digest: row.get(10)?,
        occurred_at_ms: unsigned(row.get(11)?),
        rank: row.get(12)?,
        received_at_ms: unsigned(row.get(13)?),
        source: source_from_number(row.get::<_, i64>(19)?),
        signature: row.get(18)?,
        flags: flags_from_bits(row.get::<_, i64>(14)?),
        body: row.get(15)?,
    };
    let duplicates = unsigned(row.get(16)?);
    let mut request_ids = match duplicates {
        0 => Vec::new(),
        _ => repeats(connection, task, seq)?,
    };
    let first = event.request_id.iter();
    request_ids.extend(first.filter(|id| is_listed(id)).cloned());
    request_ids.sort_unstable();
    request_ids.truncate(REQUEST_IDS_MAX);
    Ok(StoredEvent {
        event,
        seq: unsigned(seq),
        duplicates,
        request_ids,
        late: row.get(17)?,
    })
}

/// Returns the request ids of the duplicates of an event.
fn repeats(connection: &Connection, task: i64, event: i64) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT request_id FROM repeats WHERE task = ?1 AND event = ?2")?
        .query_map([task, event], |row| row.get(0))?
        .collect()
}

fn key(event: &Event) -> EventKey {
    EventKey {
        occurred_at_ms: saturated(event.occurred_at_ms),
        rank: event.rank,
        digest: event.digest.clone(),
    }
}
