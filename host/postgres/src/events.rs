//! Reads of events: the history of a task, and the feed of all events.

use batchtask_guest::journal::{PAGE_BYTES_MAX, REQUEST_IDS_MAX};
use batchtask_journal::cursor::EventKey;
use batchtask_journal::page::{Page, event_bytes};
use batchtask_journal::stored::{flags_from_bits, saturated, source_from_number, unsigned};
use batchtask_journal::{Error, Event, HistoryPage, LISTED_REQUEST_ID_BYTES_MAX, StoredEvent};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::readers::Readers;
use crate::values::{from_stored, to_stored};

/// Rows are sent until about this many stored bytes were sent, so that a page of
/// long events does not send all of its 500 rows. A stored text is at most twice as
/// long as the text, so at least a page is sent.
pub(crate) const SENT_BYTES_MAX: i64 = 2 * PAGE_BYTES_MAX as i64;

/// Selects the rows of a page from `page`, which has the columns `seq`, `place` in
/// the page and `size` of a row. The column `more` is set if another row follows,
/// `previous` is the status before the first row of a history. `$1` is the limit of
/// bytes.
macro_rules! select_events {
    ($($page:expr),+) => {
        concat!(
            "WITH page AS (",
            $($page),+,
            "), sent AS (SELECT seq, place, lead(seq) OVER w IS NOT NULL AS more, \
                 coalesce(sum(size) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) \
                     AS before \
             FROM page WINDOW w AS (ORDER BY place)) \
             SELECT t.app_id, t.task_id, e.task_type, e.status, e.status_desc, e.event_time, \
                 e.event_time_ms, e.request_id, e.digest, e.occurred_at_ms, e.rank, \
                 e.received_at_ms, e.source, e.signature, e.flags, e.body, e.seq, e.duplicates, \
                 e.late, sent.more, CASE WHEN e.duplicates > 0 THEN ARRAY( \
                     SELECT r.request_id FROM batchtask.repeats AS r WHERE r.event = e.seq) END, \
                 CASE WHEN sent.place = 0 THEN (SELECT p.status FROM batchtask.events AS p \
                     WHERE p.task = e.task AND (p.occurred_at_ms, p.rank, p.digest) \
                         < (e.occurred_at_ms, e.rank, e.digest) \
                     ORDER BY p.occurred_at_ms DESC, p.rank DESC, p.digest DESC LIMIT 1) END \
             FROM sent JOIN batchtask.events AS e USING (seq) \
             JOIN batchtask.tasks AS t ON t.id = e.task \
             WHERE sent.before < $1 ORDER BY sent.place"
        )
    };
}

/// The size of an event `e` of a task `t`, as it is stored.
macro_rules! size {
    () => {
        "256 + octet_length(e.body) + octet_length(e.status_desc) + octet_length(e.status) \
         + octet_length(e.task_type) + octet_length(t.app_id) + octet_length(t.task_id) \
         + coalesce(octet_length(e.event_time), 0) + coalesce(octet_length(e.event_time_ms), 0) \
         + coalesce(octet_length(e.request_id), 0) + coalesce(octet_length(e.signature), 0) AS size "
    };
}

/// The first place is 0.
const HISTORY: &str = select_events!(
    "SELECT e.seq, row_number() OVER o - 1 AS place, ",
    size!(),
    "FROM batchtask.tasks AS t JOIN batchtask.events AS e ON e.task = t.id \
     WHERE t.key = batchtask.task_key($3, $4) \
     AND (e.occurred_at_ms, e.rank, e.digest) > ($5, $6, $7) \
     WINDOW o AS (ORDER BY e.occurred_at_ms, e.rank, e.digest) \
     ORDER BY e.occurred_at_ms, e.rank, e.digest LIMIT $2"
);

const FEED: &str = select_events!(
    "SELECT e.seq, e.seq AS place, ",
    size!(),
    "FROM batchtask.events AS e JOIN batchtask.tasks AS t ON t.id = e.task \
     WHERE e.seq > $3 ORDER BY e.seq LIMIT $2"
);

/// Returns a page of the history of a task: the events after the key `after`, or
/// the first ones.
pub(crate) async fn history(
    readers: &Readers,
    app_id: &str,
    task_id: &str,
    after: Option<EventKey>,
    limit: u32,
) -> Result<HistoryPage, Error> {
    // This key sorts before all others, because a digest is not empty.
    let after = after.unwrap_or(EventKey {
        occurred_at_ms: i64::MIN,
        rank: 0,
        digest: Vec::new(),
    });
    let mut page = Page::new(limit);
    let rows = readers
        .read(
            HISTORY,
            &[
                (&SENT_BYTES_MAX, Type::INT8),
                (&rows(&page), Type::INT8),
                (&to_stored(app_id), Type::TEXT),
                (&to_stored(task_id), Type::TEXT),
                (&after.occurred_at_ms, Type::INT8),
                (&i16::from(after.rank), Type::INT2),
                (&after.digest, Type::BYTEA),
            ],
        )
        .await?;
    fill(readers, &mut page, &rows)?;
    let (events, next) = page.finish(|stored| key(&stored.event).encode());
    let previous_status = rows.first().map(|row| row.try_get::<_, Option<String>>(21));
    let previous_status = previous_status.transpose();
    let previous_status = previous_status.map_err(|error| readers.unreadable(&error))?;
    Ok(HistoryPage {
        events,
        previous_status: previous_status.flatten().map(from_stored),
        next,
    })
}

/// Returns a page of the feed: the events with a `seq` above `after`.
pub(crate) async fn after(
    readers: &Readers,
    after: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, Error> {
    let mut page = Page::new(limit);
    let rows = readers
        .read(
            FEED,
            &[
                (&SENT_BYTES_MAX, Type::INT8),
                (&rows(&page), Type::INT8),
                (&saturated(after), Type::INT8),
            ],
        )
        .await?;
    fill(readers, &mut page, &rows)?;
    Ok(page.finish(|_| String::new()).0)
}

/// Returns how many rows to select for a page.
pub(crate) fn rows<T>(page: &Page<T>) -> i64 {
    page.rows() as i64
}

fn fill(readers: &Readers, page: &mut Page<StoredEvent>, rows: &[Row]) -> Result<(), Error> {
    let mut more = false;
    for row in rows {
        if page.is_full() {
            return Ok(());
        }
        let stored = from_row(row).map_err(|error| readers.unreadable(&error))?;
        more = row
            .try_get(19)
            .map_err(|error| readers.unreadable(&error))?;
        let bytes = event_bytes(&stored.event);
        page.push(stored, bytes);
    }
    if more {
        // The rest was not sent, because the page is full.
        page.is_full();
    }
    Ok(())
}

fn from_row(row: &Row) -> Result<StoredEvent, tokio_postgres::Error> {
    let text = |column| row.try_get(column).map(from_stored);
    let optional = |column| {
        let text: Option<String> = row.try_get(column)?;
        Ok::<_, tokio_postgres::Error>(text.map(from_stored))
    };
    let rank: i16 = row.try_get(10)?;
    let event = Event {
        app_id: text(0)?,
        task_id: text(1)?,
        task_type: text(2)?,
        status: text(3)?,
        status_desc: text(4)?,
        event_time: optional(5)?,
        event_time_ms: optional(6)?,
        request_id: optional(7)?,
        digest: row.try_get(8)?,
        occurred_at_ms: unsigned(row.try_get(9)?),
        rank: u8::try_from(rank).unwrap_or(0),
        received_at_ms: unsigned(row.try_get(11)?),
        source: source_from_number(row.try_get::<_, i16>(12)?),
        signature: optional(13)?,
        flags: flags_from_bits(row.try_get::<_, i32>(14)?),
        body: row.try_get(15)?,
    };
    let repeats: Option<Vec<String>> = row.try_get(20)?;
    Ok(StoredEvent {
        seq: unsigned(row.try_get(16)?),
        duplicates: unsigned(row.try_get(17)?),
        late: row.try_get(18)?,
        request_ids: request_ids(&event, repeats.unwrap_or_default()),
        event,
    })
}

/// Returns the listed request ids of an event: its own, and those of its
/// duplicates.
fn request_ids(event: &Event, repeats: Vec<String>) -> Vec<String> {
    let is_listed = |id: &&String| id.len() <= LISTED_REQUEST_ID_BYTES_MAX;
    let mut ids: Vec<String> = repeats.into_iter().map(from_stored).collect();
    ids.extend(event.request_id.iter().filter(is_listed).cloned());
    ids.sort_unstable();
    ids.truncate(REQUEST_IDS_MAX);
    ids
}

fn key(event: &Event) -> EventKey {
    EventKey {
        occurred_at_ms: saturated(event.occurred_at_ms),
        rank: event.rank,
        digest: event.digest.clone(),
    }
}
