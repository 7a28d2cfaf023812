//! What one entry does to the tables. Every function here runs inside the
//! writer's transaction; after an error the whole transaction is rolled back.

use batchtask_guest::journal::REQUEST_IDS_MAX;
use batchtask_journal::page::reject_bytes;
use batchtask_journal::{
    Appended, Event, LISTED_REQUEST_ID_BYTES_MAX, Reject, SignatureStatus, SignatureUse,
};
use batchtask_notification::from_hex;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::values::{flags_to_bits, saturated, source_to_number, unsigned};

/// How many more expired signatures a commit deletes than it stored new ones:
/// the backlog shrinks, and no commit stalls on it.
const EXTRA_SIGNATURES_PRUNED: u64 = 64;

/// The row of `totals`. The writer alone changes it, so it keeps a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) last_received_at_ms: Option<i64>,
    pub(crate) signatures: u64,
    pub(crate) quarantine_bytes: u64,
    pub(crate) quarantine_dropped: u64,
    pub(crate) commits: u64,
}

impl Totals {
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT last_received_at_ms, signatures, quarantine_bytes, quarantine_dropped, \
                   commits FROM totals";
        connection
            .prepare_cached(sql)?
            .query_row([], Self::from_row)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            last_received_at_ms: row.get(0)?,
            signatures: unsigned(row.get(1)?),
            quarantine_bytes: unsigned(row.get(2)?),
            quarantine_dropped: unsigned(row.get(3)?),
            commits: unsigned(row.get(4)?),
        })
    }

    /// Counts the commit that is about to happen and writes the row. So every
    /// commit writes something, even that of a probe.
    pub(crate) fn save(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.commits += 1;
        let sql = "UPDATE totals SET last_received_at_ms = ?1, signatures = ?2, \
                   quarantine_bytes = ?3, quarantine_dropped = ?4, commits = ?5";
        // No value reaches 2^63 in practice. The bits are stored.
        connection.prepare_cached(sql)?.execute(params![
            self.last_received_at_ms,
            self.signatures.cast_signed(),
            self.quarantine_bytes.cast_signed(),
            self.quarantine_dropped.cast_signed(),
            self.commits.cast_signed(),
        ])?;
        Ok(())
    }
}

/// Returns the greatest `seq`, or 0 before the first event.
pub(crate) fn last_seq(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(max(seq), 0) FROM events";
    connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))
        .map(unsigned)
}

/// Looks up the task on the way, so that an event of a known task is one
/// statement. Inserts nothing if the task is unknown or the digest is known.
///
/// The names tell what a parameter is. Values are bound in the order in which
/// the names first appear: to find them by name takes longer.
const INSERT_EVENT: &str = "
    INSERT INTO events (task, digest, occurred_at_ms, rank, received_at_ms, signature, flags,
        late, duplicates, task_type, status, status_desc, event_time, event_time_ms, request_id, body,
        source)
    SELECT id, :digest, :occurred_at_ms, :rank, :received_at_ms, :signature, :flags,
        (occurred_at_ms, rank, digest) > (:occurred_at_ms, :rank, :digest),
        0, :task_type, :status, :status_desc, :event_time, :event_time_ms, :request_id, :body,
        :source
    FROM tasks WHERE app_id = :app_id AND task_id = :task_id
    ON CONFLICT (task, digest) DO NOTHING";

/// Sets a column of the state to the value of the greater event.
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

/// Creates the task of an event, or adds a new event to it. On the right side
/// of a `SET`, every column still has its old value.
const UPSERT_TASK: &str = concat!(
    "INSERT INTO tasks (app_id, task_id, task_type, status, status_desc, occurred_at_ms, rank, \
         digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags) \
     VALUES (:app_id, :task_id, :task_type, :status, :status_desc, :occurred_at_ms, :rank, \
         :digest, :occurred_at_ms, :received_at_ms, 1, 0, :flags) \
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
     flags = tasks.flags | excluded.flags",
);

/// Records an event, or counts it as a duplicate.
pub(crate) fn event(
    connection: &Connection,
    totals: &mut Totals,
    event: &Event,
) -> rusqlite::Result<Appended> {
    totals.last_received_at_ms = totals
        .last_received_at_ms
        .max(Some(saturated(event.received_at_ms)));
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

/// Returns whether a row was inserted.
fn insert_event(connection: &Connection, event: &Event) -> rusqlite::Result<bool> {
    let inserted = connection.prepare_cached(INSERT_EVENT)?.execute(params![
        event.digest,
        saturated(event.occurred_at_ms),
        event.rank,
        saturated(event.received_at_ms),
        event.signature,
        flags_to_bits(event.flags),
        event.task_type,
        event.status,
        event.status_desc,
        event.event_time,
        event.event_time_ms,
        event.request_id,
        event.body,
        source_to_number(event.source),
        event.app_id,
        event.task_id,
    ])?;
    Ok(inserted == 1)
}

fn upsert_task(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    connection.prepare_cached(UPSERT_TASK)?.execute(params![
        event.app_id,
        event.task_id,
        event.task_type,
        event.status,
        event.status_desc,
        saturated(event.occurred_at_ms),
        event.rank,
        event.digest,
        saturated(event.received_at_ms),
        flags_to_bits(event.flags),
    ])?;
    Ok(())
}

/// Counts another arrival of an event, and returns whether the event is known.
/// Body, flags and times stay those of the first arrival.
fn duplicate(connection: &Connection, event: &Event) -> rusqlite::Result<bool> {
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
pub(crate) fn is_listed(request_id: &str) -> bool {
    request_id.len() <= LISTED_REQUEST_ID_BYTES_MAX
}

/// Keeps a request id of a duplicate, if it is among the least ones: which ids
/// are kept does not depend on the order in which they arrived.
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
            .execute(params![task, seq, REQUEST_IDS_MAX as i64])?;
    }
    Ok(())
}

/// Remembers a signature, unless it is a replay at `now_ms`.
pub(crate) fn signature(
    connection: &Connection,
    totals: &mut Totals,
    signature: &SignatureUse,
    now_ms: u64,
) -> rusqlite::Result<SignatureStatus> {
    // Half as long in the file as in hexadecimal digits.
    let key = from_hex(&signature.signature).unwrap_or_default();
    let sql = "INSERT INTO signatures (signature, digest, expires_at_ms) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO NOTHING";
    let expires_at_ms = saturated(signature.expires_at_ms);
    let inserted =
        connection
            .prepare_cached(sql)?
            .execute(params![key, signature.digest, expires_at_ms])?;
    if inserted == 1 {
        totals.signatures += 1;
        return Ok(SignatureStatus::Fresh);
    }
    known_signature(connection, &key, signature, now_ms)
}

/// The same for a signature that is in the file, perhaps expired.
fn known_signature(
    connection: &Connection,
    key: &[u8],
    signature: &SignatureUse,
    now_ms: u64,
) -> rusqlite::Result<SignatureStatus> {
    let sql = "SELECT digest, expires_at_ms FROM signatures WHERE signature = ?1";
    let (digest, known_ms): (Vec<u8>, i64) = connection
        .prepare_cached(sql)?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let status = SignatureStatus::of(&digest, unsigned(known_ms), signature, now_ms);
    let expires_at_ms = saturated(signature.expires_at_ms);
    let expires_at_ms = match status {
        SignatureStatus::Replayed => return Ok(status),
        SignatureStatus::Repeated => expires_at_ms.max(known_ms),
        SignatureStatus::Fresh => expires_at_ms,
    };
    let sql = "UPDATE signatures SET digest = ?2, expires_at_ms = ?3 WHERE signature = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![key, signature.digest, expires_at_ms])?;
    Ok(status)
}

/// Deletes expired signatures, `stored` and a few more at most; then, if there
/// are more than `max`, those that would expire next.
pub(crate) fn prune_signatures(
    connection: &Connection,
    totals: &mut Totals,
    now_ms: i64,
    stored: u64,
    max: u64,
) -> rusqlite::Result<()> {
    let most = stored + EXTRA_SIGNATURES_PRUNED;
    let expired = delete_signatures(connection, now_ms, most)?;
    totals.signatures = totals.signatures.saturating_sub(expired);
    let excess = totals.signatures.saturating_sub(max);
    if excess > 0 {
        let forgotten = delete_signatures(connection, i64::MAX, excess)?;
        totals.signatures = totals.signatures.saturating_sub(forgotten);
    }
    Ok(())
}

/// Deletes up to `most` signatures that expire by `until_ms`, in the order in
/// which they expire. Returns how many were deleted.
fn delete_signatures(connection: &Connection, until_ms: i64, most: u64) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM signatures WHERE signature IN (SELECT signature FROM signatures \
               WHERE expires_at_ms <= ?1 ORDER BY expires_at_ms LIMIT ?2)";
    let deleted = connection
        .prepare_cached(sql)?
        .execute(params![until_ms, most.cast_signed()])?;
    Ok(deleted as u64)
}

/// Keeps a reject, and drops the oldest until all fit into `max_bytes`. A
/// reject that would not fit alone is dropped itself: it costs the others
/// nothing.
pub(crate) fn reject(
    connection: &Connection,
    totals: &mut Totals,
    reject: &Reject,
    max_bytes: u64,
) -> rusqlite::Result<()> {
    let bytes = reject_bytes(reject) as u64;
    if bytes > max_bytes {
        totals.quarantine_dropped += 1;
        return Ok(());
    }
    while totals.quarantine_bytes + bytes > max_bytes {
        drop_oldest_reject(connection, totals)?;
    }
    let sql = "INSERT INTO quarantine (received_at_ms, bytes, reason, detail, pointer, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        saturated(reject.received_at_ms),
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
