//! How an entry changes the tables. Every function here runs inside the writer's
//! transaction; after an error the whole transaction is rolled back.

use batchtask_guest::journal::{REQUEST_IDS_MAX, is_undated};
use batchtask_journal::page::reject_bytes;
use batchtask_journal::stored::{flags_to_bits, saturated, source_to_number, unsigned};
use batchtask_journal::{
    Appended, Event, Reject, RejectSize, SignatureStatus, SignatureUse, Source, placed_at_ms,
};
use batchtask_notification::from_hex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::prune;
use crate::request_ids;
use crate::steady_clock::SLACK_MS;
use crate::steps;
use crate::totals::Totals;

/// How many expired signatures a commit deletes in addition to the number that it
/// stored. So a backlog shrinks, but does not stall a commit.
const EXTRA_SIGNATURES_PRUNED: u64 = 64;

/// Inserts an event and looks up its task in the same statement. Inserts nothing
/// if the task is unknown or the digest is known.
///
/// The parameters have names for the reader only. Values are bound in the order
/// in which the names first appear, because binding by name takes longer.
const INSERT_EVENT: &str = "
    INSERT INTO events (seq, task, digest, occurred_at_ms, rank, received_at_ms, signature, flags,
        late, duplicates, task_type, status, status_desc, event_time, event_time_ms, request_id, body,
        source)
    SELECT :seq, id, :digest, :occurred_at_ms, :rank, :received_at_ms, :signature, :flags,
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
         digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, \
         request_ids, steps) \
     VALUES (:app_id, :task_id, :task_type, :status, :status_desc, :occurred_at_ms, :rank, \
         :digest, :occurred_at_ms, :received_at_ms, 1, 0, :flags, :first_request_id, \
         step_bits(NULL, :status)) \
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
     flags = tasks.flags | excluded.flags,
     request_ids = with_request_id(tasks.request_ids, :request_id),
     steps = CASE WHEN (tasks.events < 64 OR tasks.steps = 0)
         AND (excluded.occurred_at_ms, excluded.rank, excluded.digest)
             > (tasks.occurred_at_ms, tasks.rank, tasks.digest)
         THEN tasks.steps | step_bits(tasks.status, excluded.status) ELSE -1 END
     RETURNING id, steps",
);

/// Records an event, or counts it as a duplicate.
pub(crate) fn event(
    connection: &Connection,
    totals: &mut Totals,
    event: &Event,
) -> rusqlite::Result<Appended> {
    if event.source != Source::Reconcile {
        let received_at_ms = Some(saturated(event.received_at_ms));
        totals.last_received_at_ms = totals.last_received_at_ms.max(received_at_ms);
    }
    if totals.knows_pruned && prune::is_pruned(connection, &event.digest)? {
        return Ok(Appended::Duplicate);
    }
    let placed;
    let event = if is_undated(event) {
        placed = place_undated(connection, event)?;
        &placed
    } else {
        event
    };
    let seq = totals.last_seq + 1;
    if insert_event(connection, event, seq)? {
        let (task, steps) = upsert_task(connection, event)?;
        if steps < 0 {
            steps::store(connection, task)?;
        }
    } else if count_duplicate(connection, event)? {
        return Ok(Appended::Duplicate);
    } else {
        // The first event of a task: insert the task's row before that of the event.
        upsert_task(connection, event)?;
        insert_event(connection, event, seq)?;
    }
    totals.last_seq = seq;
    Ok(Appended::Recorded)
}

/// Returns an event without a time, placed after the last event of its task.
fn place_undated(connection: &Connection, event: &Event) -> rusqlite::Result<Event> {
    let sql = "SELECT occurred_at_ms FROM tasks WHERE app_id = ?1 AND task_id = ?2";
    let last_ms: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([&event.app_id, &event.task_id], |row| row.get(0))
        .optional()?;
    let mut placed = event.clone();
    if let Some(last_ms) = last_ms {
        placed.occurred_at_ms = placed_at_ms(event, unsigned(last_ms));
    }
    Ok(placed)
}

/// Inserts an event. Returns false if its task is unknown or its digest is known.
fn insert_event(connection: &Connection, event: &Event, seq: u64) -> rusqlite::Result<bool> {
    let inserted = connection.prepare_cached(INSERT_EVENT)?.execute(params![
        seq.cast_signed(),
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

/// Returns the row of the task, and the flags of its steps, or a negative number if
/// they must be found in its events: the event is not the last one, or a step that has a
/// flag may be too old to count.
fn upsert_task(connection: &Connection, event: &Event) -> rusqlite::Result<(i64, i64)> {
    let values = params![
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
        request_ids::value(event.request_id.as_deref()),
        event.request_id,
    ];
    connection
        .prepare_cached(UPSERT_TASK)?
        .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Counts another arrival of an event, and returns whether the event is known.
/// Body, flags and times stay those of the first arrival.
fn count_duplicate(connection: &Connection, event: &Event) -> rusqlite::Result<bool> {
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
    let sql = "UPDATE tasks SET duplicates = duplicates + 1, \
               request_ids = with_request_id(request_ids, ?2) WHERE id = ?1";
    connection
        .prepare_cached(sql)?
        .execute(params![task, event.request_id])?;
    if let Some(id) = &event.request_id
        && first_request_id.as_ref() != Some(id)
        && request_ids::is_listed(id)
    {
        keep_request_id(connection, task, seq, id)?;
    }
    Ok(true)
}

/// Stores a request id of a duplicate if it is among the first in alphabetical
/// order. So the stored ids do not depend on the order of arrival.
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

/// Stores a signature and returns its status at `now_ms`. A replay is not stored.
pub(crate) fn signature(
    connection: &Connection,
    totals: &mut Totals,
    signature: &SignatureUse,
    now_ms: u64,
) -> rusqlite::Result<SignatureStatus> {
    // Stored as bytes, which takes half the space of hexadecimal digits.
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

/// Like [`signature`], for a signature that is in the file, perhaps expired.
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

/// Deletes signatures that have expired by the steady clock, which shows `now_ms`:
/// at most `stored` and a few more. If more than `max` signatures are left,
/// deletes those that would expire next.
pub(crate) fn forget_signatures(
    connection: &Connection,
    totals: &mut Totals,
    now_ms: i64,
    stored: u64,
    max: u64,
) -> rusqlite::Result<()> {
    let most = stored + EXTRA_SIGNATURES_PRUNED;
    let surely_expired_ms = now_ms.saturating_sub(2 * saturated(SLACK_MS));
    let expired = delete_signatures(connection, surely_expired_ms, most)?;
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

/// Stores a reject, and drops the oldest ones until all fit into `max_bytes`. A
/// reject that does not fit even into an empty quarantine is dropped itself.
pub(crate) fn reject(
    connection: &Connection,
    totals: &mut Totals,
    reject: &Reject,
    max_bytes: u64,
) -> rusqlite::Result<()> {
    let bytes = reject_bytes(reject) as u64;
    if bytes > RejectSize::of(bytes).reject_bytes_max(max_bytes) {
        totals.quarantine_dropped += 1;
        return Ok(());
    }
    totals.quarantine.add(bytes);
    while let Some(size) = totals.quarantine.excess(max_bytes)
        && drop_oldest_reject(connection, totals, size)?
    {}
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
    Ok(())
}

/// Removes a reject. Returns its size, or `None` if no reject has this number.
pub(crate) fn remove_reject(connection: &Connection, seq: u64) -> rusqlite::Result<Option<u64>> {
    let sql = "DELETE FROM quarantine WHERE seq = ?1 RETURNING bytes";
    let removed: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([saturated(seq)], |row| row.get(0))
        .optional()?;
    Ok(removed.map(unsigned))
}

/// Drops the oldest reject of this size. Returns false if there is no such reject.
fn drop_oldest_reject(
    connection: &Connection,
    totals: &mut Totals,
    size: RejectSize,
) -> rusqlite::Result<bool> {
    // 16384 is `SMALL_REJECT_BYTES_MAX`. It must be the number in the index.
    let sql = "DELETE FROM quarantine WHERE seq = (SELECT min(seq) FROM quarantine \
               INDEXED BY quarantine_by_size WHERE (bytes > 16384) = ?1) RETURNING bytes";
    let dropped: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row([size == RejectSize::Large], |row| row.get(0))
        .optional()?;
    if let Some(bytes) = dropped {
        totals.quarantine.remove(unsigned(bytes));
        totals.quarantine_dropped += 1;
    }
    Ok(dropped.is_some())
}
