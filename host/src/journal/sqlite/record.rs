//! What one write does to the tables. Every function here runs inside the
//! writer's transaction; an error means that the whole of it is rolled back.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::values::{CheckedEvent, CheckedNonce, CheckedReject, oddities_to_bits, unsigned};
use crate::journal::Appended;

/// How many request ids a task or an event shows.
pub(super) const MAX_REQUEST_IDS: u16 = 16;
/// Request ids longer than this are kept in their event, but not listed.
pub(super) const MAX_LISTED_REQUEST_ID_BYTES: u16 = 1024;
/// How many more expired nonces a commit deletes than it stored new ones: the
/// backlog shrinks, and no commit stalls on it.
const EXTRA_NONCES_PRUNED: u64 = 64;

/// The row of `totals`. The writer alone changes it, so it keeps a copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) last_received_at_ms: Option<i64>,
    /// At least as many nonces as there are: one that came again after it
    /// expired counts twice, until the bound is reached and all are counted.
    pub(super) nonces: u64,
    pub(super) quarantine_bytes: u64,
    pub(super) quarantine_dropped: u64,
    pub(super) commits: u64,
}

impl Totals {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT last_received_at_ms, nonces, quarantine_bytes, quarantine_dropped, \
                   commits FROM totals";
        connection
            .prepare_cached(sql)?
            .query_row([], Self::from_row)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            last_received_at_ms: row.get(0)?,
            nonces: unsigned(row.get(1)?),
            quarantine_bytes: unsigned(row.get(2)?),
            quarantine_dropped: unsigned(row.get(3)?),
            commits: unsigned(row.get(4)?),
        })
    }

    /// Counts the commit that is about to happen, which makes every commit
    /// write something, a probe's too.
    pub(super) fn save(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.commits += 1;
        let sql = "UPDATE totals SET last_received_at_ms = ?1, nonces = ?2, \
                   quarantine_bytes = ?3, quarantine_dropped = ?4, commits = ?5";
        // None of these reaches 2^63 in practice; bits are what is stored.
        connection.prepare_cached(sql)?.execute(params![
            self.last_received_at_ms,
            self.nonces.cast_signed(),
            self.quarantine_bytes.cast_signed(),
            self.quarantine_dropped.cast_signed(),
            self.commits.cast_signed(),
        ])?;
        Ok(())
    }
}

/// The greatest `seq` so far, 0 before the first event.
pub(super) fn last_seq(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM events";
    connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .map(unsigned)
}

/// The task is looked up on the way, so that an event of a known task is one
/// statement. Nothing happens when the task is unknown, or the digest known.
const INSERT_EVENT: &str = "
    INSERT INTO events (task, digest, occurred_at_ms, rank, received_at_ms, signature, oddities,
        late, duplicates, task_type, status, status_desc, event_time, event_time_ms, request_id, body)
    SELECT id, :digest, :occurred_at_ms, :rank, :received_at_ms, :signature, :oddities,
        (occurred_at_ms, rank, digest) > (:occurred_at_ms, :rank, :digest),
        0, :task_type, :status, :status_desc, :event_time, :event_time_ms, :request_id, :body
    FROM tasks WHERE app_id = :app_id AND task_id = :task_id
    ON CONFLICT (task, digest) DO NOTHING";

/// The new value of a column of the state: that of the greater event.
macro_rules! of_the_greater {
    ($column:literal) => {
        concat!(
            $column,
            " = CASE WHEN (excluded.occurred_at_ms, excluded.rank, excluded.digest)",
            " > (tasks.occurred_at_ms, tasks.rank, tasks.digest)",
            " THEN excluded.",
            $column,
            " ELSE tasks.",
            $column,
            " END,"
        )
    };
}

/// Makes a task of its first event, or adds a new event to it. On the right
/// of a `SET` every column still has its old value.
const UPSERT_TASK: &str = concat!(
    "INSERT INTO tasks (app_id, task_id, task_type, status, status_desc, occurred_at_ms, rank, \
         digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, oddities) \
     VALUES (:app_id, :task_id, :task_type, :status, :status_desc, :occurred_at_ms, :rank, \
         :digest, :occurred_at_ms, :received_at_ms, 1, 0, :oddities) \
     ON CONFLICT (app_id, task_id) DO UPDATE SET ",
    of_the_greater!("task_type"),
    of_the_greater!("status"),
    of_the_greater!("status_desc"),
    of_the_greater!("occurred_at_ms"),
    of_the_greater!("rank"),
    of_the_greater!("digest"),
    "first_occurred_at_ms = min(tasks.first_occurred_at_ms, excluded.first_occurred_at_ms),
     last_received_at_ms = max(tasks.last_received_at_ms, excluded.last_received_at_ms),
     events = tasks.events + 1,
     oddities = tasks.oddities | excluded.oddities",
);

/// Records an event, or counts it as a duplicate.
pub(super) fn event(
    connection: &Connection,
    totals: &mut Totals,
    event: &CheckedEvent,
) -> rusqlite::Result<Appended> {
    totals.last_received_at_ms = totals.last_received_at_ms.max(Some(event.received_at_ms));
    if insert_event(connection, event)? {
        upsert_task(connection, event)?;
    } else if duplicate(connection, event)? {
        return Ok(Appended::Duplicate);
    } else {
        // The first event of a task: the row it refers to comes first.
        upsert_task(connection, event)?;
        insert_event(connection, event)?;
    }
    Ok(Appended::Recorded)
}

/// Whether a row was inserted.
fn insert_event(connection: &Connection, checked: &CheckedEvent) -> rusqlite::Result<bool> {
    let event = &checked.event;
    let inserted = connection
        .prepare_cached(INSERT_EVENT)?
        .execute(named_params! {
            ":digest": event.digest,
            ":occurred_at_ms": checked.occurred_at_ms,
            ":rank": event.rank,
            ":received_at_ms": checked.received_at_ms,
            ":signature": event.signature,
            ":oddities": oddities_to_bits(event.oddities),
            ":task_type": event.task_type,
            ":status": event.status,
            ":status_desc": event.status_desc,
            ":event_time": event.event_time,
            ":event_time_ms": event.event_time_ms,
            ":request_id": event.request_id,
            ":body": event.body,
            ":app_id": event.app_id,
            ":task_id": event.task_id,
        })?;
    Ok(inserted == 1)
}

fn upsert_task(connection: &Connection, checked: &CheckedEvent) -> rusqlite::Result<()> {
    let event = &checked.event;
    connection
        .prepare_cached(UPSERT_TASK)?
        .execute(named_params! {
            ":app_id": event.app_id,
            ":task_id": event.task_id,
            ":task_type": event.task_type,
            ":status": event.status,
            ":status_desc": event.status_desc,
            ":occurred_at_ms": checked.occurred_at_ms,
            ":rank": event.rank,
            ":digest": event.digest,
            ":received_at_ms": checked.received_at_ms,
            ":oddities": oddities_to_bits(event.oddities),
        })?;
    Ok(())
}

/// Counts another arrival of an event, where that is known. The first
/// arrival's body, oddities and times stay: an event is what was first seen.
fn duplicate(connection: &Connection, checked: &CheckedEvent) -> rusqlite::Result<bool> {
    let event = &checked.event;
    let sql = "UPDATE events SET duplicates = duplicates + 1 \
               WHERE task = (SELECT id FROM tasks WHERE app_id = ?1 AND task_id = ?2) \
               AND digest = ?3 RETURNING task, seq, request_id";
    let known: Option<(i64, i64, Option<String>)> = connection
        .prepare_cached(sql)?
        .query_row(params![event.app_id, event.task_id, event.digest], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((task, seq, first_request_id)) = known else {
        return Ok(false);
    };
    let sql = "UPDATE tasks SET duplicates = duplicates + 1 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([task])?;
    if let Some(id) = &event.request_id
        && first_request_id.as_ref() != Some(id)
        && is_listed(id)
    {
        keep_request_id(connection, task, seq, id)?;
    }
    Ok(true)
}

/// Whether a request id is short enough to be listed.
pub(super) fn is_listed(request_id: &str) -> bool {
    request_id.len() <= MAX_LISTED_REQUEST_ID_BYTES.into()
}

/// Keeps the least ones: which those are does not depend on the order in
/// which they came.
fn keep_request_id(connection: &Connection, task: i64, seq: i64, id: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO repeats (task, event, request_id) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO NOTHING";
    if connection
        .prepare_cached(sql)?
        .execute(params![task, seq, id])?
        == 1
    {
        let sql = "DELETE FROM repeats WHERE task = ?1 AND event = ?2 AND request_id NOT IN \
                   (SELECT request_id FROM repeats WHERE task = ?1 AND event = ?2 \
                    ORDER BY request_id LIMIT ?3)";
        connection
            .prepare_cached(sql)?
            .execute(params![task, seq, MAX_REQUEST_IDS])?;
    }
    Ok(())
}

/// Whether the nonce may be used at `now_ms`; if so, it is used now.
pub(super) fn nonce(
    connection: &Connection,
    totals: &mut Totals,
    nonce: &CheckedNonce,
    now_ms: i64,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO nonces (value, expires_at_ms) VALUES (?1, ?2) \
               ON CONFLICT (value) DO UPDATE SET expires_at_ms = excluded.expires_at_ms \
               WHERE nonces.expires_at_ms <= ?3";
    let fresh = connection.prepare_cached(sql)?.execute(params![
        nonce.value,
        nonce.expires_at_ms,
        now_ms
    ])? == 1;
    totals.nonces += u64::from(fresh);
    Ok(fresh)
}

/// Deletes expired nonces, `stored` and a few more at most; then, when there
/// are more than `max`, those that would expire next.
pub(super) fn prune_nonces(
    connection: &Connection,
    totals: &mut Totals,
    now_ms: i64,
    stored: u64,
    max: u64,
) -> rusqlite::Result<()> {
    let most = stored + EXTRA_NONCES_PRUNED;
    let expired = delete_nonces(connection, now_ms, most)?;
    totals.nonces = totals.nonces.saturating_sub(expired);
    if totals.nonces > max {
        let sql = "SELECT count(*) FROM nonces";
        totals.nonces = unsigned(
            connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0))?,
        );
        let excess = totals.nonces.saturating_sub(max);
        totals.nonces -= delete_nonces(connection, i64::MAX, excess)?;
    }
    Ok(())
}

/// Deletes up to `most` nonces that expire by `until_ms`, the next ones first.
fn delete_nonces(connection: &Connection, until_ms: i64, most: u64) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM nonces WHERE value IN (SELECT value FROM nonces \
               WHERE expires_at_ms <= ?1 ORDER BY expires_at_ms LIMIT ?2)";
    let deleted = connection
        .prepare_cached(sql)?
        .execute(params![until_ms, most.cast_signed()])?;
    Ok(deleted as u64)
}

/// Keeps a reject, and drops the oldest until all fit into `max_bytes`. One
/// that would not fit alone is dropped itself: it costs the others nothing.
pub(super) fn reject(
    connection: &Connection,
    totals: &mut Totals,
    checked: &CheckedReject,
    max_bytes: u64,
) -> rusqlite::Result<()> {
    let bytes = checked.bytes() as u64;
    if bytes > max_bytes {
        totals.quarantine_dropped += 1;
        return Ok(());
    }
    while totals.quarantine_bytes + bytes > max_bytes {
        drop_oldest_reject(connection, totals)?;
    }
    let reject = &checked.reject;
    let sql = "INSERT INTO quarantine (received_at_ms, bytes, reason, detail, pointer, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        checked.received_at_ms,
        bytes.cast_signed(),
        reject.reason,
        reject.detail,
        reject.pointer,
        reject.body,
    ])?;
    totals.quarantine_bytes += bytes;
    Ok(())
}

fn drop_oldest_reject(connection: &Connection, totals: &mut Totals) -> rusqlite::Result<()> {
    let sql = "DELETE FROM quarantine WHERE seq = (SELECT min(seq) FROM quarantine) \
               RETURNING bytes";
    let dropped: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .optional()?;
    match dropped {
        Some(bytes) => {
            totals.quarantine_bytes = totals.quarantine_bytes.saturating_sub(unsigned(bytes));
            totals.quarantine_dropped += 1;
        }
        // Nothing is left to drop, whatever the total said.
        None => totals.quarantine_bytes = 0,
    }
    Ok(())
}
