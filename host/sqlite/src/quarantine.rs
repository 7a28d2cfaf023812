//! Reads of the quarantine.

use batchtask_journal::page::{Page, reject_bytes};
use batchtask_journal::stored::{saturated, unsigned};
use batchtask_journal::{QuarantinePage, Quarantined, Reject, cursor};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::values::rows;

/// Returns a page of rejects, newest first: those with a number below `before`, or
/// the newest.
pub(crate) fn list(
    connection: &Connection,
    before: Option<i64>,
    limit: u32,
) -> rusqlite::Result<QuarantinePage> {
    let sql = "SELECT seq, received_at_ms, reason, detail, pointer, body FROM quarantine \
               WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
    let mut page = Page::new(limit);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([before.unwrap_or(i64::MAX), rows(&page)])?;
    while let Some(row) = rows.next()? {
        if page.is_full() {
            break;
        }
        let quarantined = from_row(row)?;
        let bytes = reject_bytes(&quarantined.reject);
        page.push(quarantined, bytes);
    }
    let (rejects, next) = page.finish(|last| cursor::encode_seq(saturated(last.seq)));
    let dropped: i64 = connection
        .prepare_cached("SELECT quarantine_dropped FROM totals")?
        .query_row([], |row| row.get(0))?;
    Ok(QuarantinePage {
        rejects,
        dropped: unsigned(dropped),
        next,
    })
}

/// Returns the reject with this number.
pub(crate) fn find(connection: &Connection, seq: u64) -> rusqlite::Result<Option<Quarantined>> {
    let sql = "SELECT seq, received_at_ms, reason, detail, pointer, body FROM quarantine \
               WHERE seq = ?1";
    connection
        .prepare_cached(sql)?
        .query_row([saturated(seq)], from_row)
        .optional()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Quarantined> {
    Ok(Quarantined {
        seq: unsigned(row.get(0)?),
        reject: Reject {
            received_at_ms: unsigned(row.get(1)?),
            reason: row.get(2)?,
            detail: row.get(3)?,
            pointer: row.get(4)?,
            body: row.get(5)?,
        },
    })
}
