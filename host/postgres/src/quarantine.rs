//! Reads of the quarantine.

use batchtask_journal::page::{Page, reject_bytes};
use batchtask_journal::stored::{saturated, unsigned};
use batchtask_journal::{Error, QuarantinePage, Quarantined, Reject, cursor};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::events::rows;
use crate::options::Options;
use crate::readers::Readers;
use crate::values::from_stored;

/// The number of dropped rejects is in every row, and in a row of its own if there
/// is no reject. `bytes` is the size of a reject as a page measures it.
const LIST: &str = "WITH page AS ( \
         SELECT seq, bytes FROM batchtask.quarantine WHERE seq < $1 ORDER BY seq DESC LIMIT $2 \
     ), sent AS (SELECT seq, lead(seq) OVER w IS NOT NULL AS more, \
         coalesce(sum(bytes) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
         FROM page WINDOW w AS (ORDER BY seq DESC)) \
     SELECT totals.quarantine_dropped, q.seq, q.received_at_ms, q.reason, q.detail, q.pointer, \
         q.body, sent.more \
     FROM batchtask.totals LEFT JOIN sent ON sent.before < $3 \
     LEFT JOIN batchtask.quarantine AS q ON q.seq = sent.seq ORDER BY q.seq DESC";

/// Returns a page of rejects, newest first: those with a number below `before`, or
/// the newest.
pub(crate) async fn list(
    readers: &Readers,
    before: Option<i64>,
    limit: u32,
) -> Result<QuarantinePage, Error> {
    let mut page = Page::new(limit);
    let sent_bytes_max = batchtask_guest::journal::PAGE_BYTES_MAX as i64;
    let found = readers
        .read(
            LIST,
            &[
                (&before.unwrap_or(i64::MAX), Type::INT8),
                (&rows(&page), Type::INT8),
                (&sent_bytes_max, Type::INT8),
            ],
        )
        .await?;
    fill(&mut page, &found).map_err(|error| readers.unreadable(&error))?;
    let dropped = found.first().map(|row| row.try_get(0)).transpose();
    let dropped = dropped.map_err(|error| readers.unreadable(&error))?;
    let (rejects, next) = page.finish(|last| cursor::encode_seq(saturated(last.seq)));
    Ok(QuarantinePage {
        rejects,
        dropped: dropped.map_or(0, unsigned),
        next,
    })
}

fn fill(page: &mut Page<Quarantined>, rows: &[Row]) -> Result<(), tokio_postgres::Error> {
    let mut more = false;
    for row in rows {
        if row.try_get::<_, Option<i64>>(1)?.is_none() {
            break;
        }
        if page.is_full() {
            return Ok(());
        }
        let quarantined = from_row(row)?;
        more = row.try_get(7)?;
        let bytes = reject_bytes(&quarantined.reject);
        page.push(quarantined, bytes);
    }
    if more {
        // The rest was not sent, because the page is full.
        page.is_full();
    }
    Ok(())
}

/// The columns are those of [`LIST`].
const FIND: &str = "SELECT NULL, seq, received_at_ms, reason, detail, pointer, body \
     FROM batchtask.quarantine WHERE seq = $1";

/// Returns the reject with this number.
pub(crate) async fn find(readers: &Readers, seq: u64) -> Result<Option<Quarantined>, Error> {
    let rows = readers.read(FIND, &[(&saturated(seq), Type::INT8)]).await?;
    let found = rows.first().map(from_row).transpose();
    found.map_err(|error| readers.unreadable(&error))
}

/// Removes a reject. Returns false if no reject has this number.
pub(crate) async fn remove(readers: &Readers, options: &Options, seq: u64) -> Result<bool, Error> {
    let lock_timeout = format!("{}ms", options.lock_timeout.as_millis());
    let rows = readers
        .read(
            "SELECT batchtask.drop_reject($1, $2)",
            &[(&lock_timeout, Type::TEXT), (&saturated(seq), Type::INT8)],
        )
        .await?;
    let removed = rows.first().map(|row| row.try_get(0)).transpose();
    let removed = removed.map_err(|error| readers.unreadable(&error))?;
    Ok(removed.unwrap_or(false))
}

fn from_row(row: &Row) -> Result<Quarantined, tokio_postgres::Error> {
    let pointer: Option<String> = row.try_get(5)?;
    Ok(Quarantined {
        seq: unsigned(row.try_get(1)?),
        reject: Reject {
            received_at_ms: unsigned(row.try_get(2)?),
            reason: from_stored(row.try_get(3)?),
            detail: from_stored(row.try_get(4)?),
            pointer: pointer.map(from_stored),
            body: row.try_get(6)?,
        },
    })
}
