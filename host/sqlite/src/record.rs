//! How an entry changes the tables. Every function here runs inside the writer's
//! transaction; after an error the whole transaction is rolled back.

use batchtask_guest::journal::{REQUEST_IDS_MAX, TRAIL_STEPS_MAX};
use batchtask_journal::page::reject_bytes;
use batchtask_journal::stored::{flags_to_bits, saturated, source_to_number, unsigned};
use batchtask_journal::{
    Appended, Event, Reject, RejectSize, SignatureStatus, SignatureUse, Source, placed_at_ms,
};
use batchtask_notification::from_hex;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::prune;
use crate::request_ids;
use crate::steady_clock::SLACK_MS;
use crate::steps;
use crate::totals::Totals;

/// How many expired signatures a commit deletes in addition to the number that it
/// stored. So a backlog shrinks, but does not stall a commit.
const EXTRA_SIGNATURES_PRUNED: u64 = 64;

/// What a new event of a known task depends on.
struct KnownTask {
    id: i64,
    /// The place of its last event: the time, the rank and the digest.
    last: (i64, i64, Vec<u8>),
    status: String,
    events: i64,
    /// The flags of its steps.
    steps: i64,
}

/// A new event, and its place among the events of its task.
struct Placed<'a> {
    event: &'a Event,
    occurred_at_ms: i64,
    /// Whether the task has an event after it.
    is_late: bool,
}

impl<'a> Placed<'a> {
    fn of(event: &'a Event, known: Option<&KnownTask>) -> Self {
        let Some(known) = known else {
            let occurred_at_ms = saturated(event.occurred_at_ms);
            return Self {
                event,
                occurred_at_ms,
                is_late: false,
            };
        };
        let (last_ms, last_rank, last_digest) = &known.last;
        let occurred_at_ms = saturated(placed_at_ms(event, unsigned(*last_ms)));
        let place = (&occurred_at_ms, &i64::from(event.rank), &event.digest);
        Self {
            event,
            occurred_at_ms,
            is_late: (last_ms, last_rank, last_digest) > place,
        }
    }
}

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
    let known = find_task(connection, event)?;
    let placed = Placed::of(event, known.as_ref());
    let seq = totals.last_seq + 1;
    match known {
        Some(task) if insert_event(connection, &placed, task.id, seq)? => {
            update_task(connection, &placed, &task)?;
        }
        Some(task) => {
            count_duplicate(connection, event, task.id)?;
            return Ok(Appended::Duplicate);
        }
        None => {
            let task = insert_task(connection, &placed)?;
            insert_event(connection, &placed, task, seq)?;
        }
    }
    totals.last_seq = seq;
    Ok(Appended::Recorded)
}

fn find_task(connection: &Connection, event: &Event) -> rusqlite::Result<Option<KnownTask>> {
    let sql = "SELECT id, occurred_at_ms, rank, digest, status, events, steps FROM tasks \
               WHERE app_id = ?1 AND task_id = ?2";
    connection
        .prepare_cached(sql)?
        .query_row([&event.app_id, &event.task_id], |row| {
            Ok(KnownTask {
                id: row.get(0)?,
                last: (row.get(1)?, row.get(2)?, row.get(3)?),
                status: row.get(4)?,
                events: row.get(5)?,
                steps: row.get(6)?,
            })
        })
        .optional()
}

/// Inserts an event. Returns false if its digest is known.
///
/// With a `SELECT` in place of the values, SQLite would copy each page before it changes it,
/// so that it could undo the statement alone.
fn insert_event(
    connection: &Connection,
    placed: &Placed<'_>,
    task: i64,
    seq: u64,
) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO events (seq, task, digest, occurred_at_ms, rank, received_at_ms, \
                   signature, flags, late, duplicates, task_type, status, status_desc, \
                   event_time, event_time_ms, request_id, body, source) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14, ?15, \
                   ?16, ?17) \
               ON CONFLICT (task, digest) DO NOTHING";
    let event = placed.event;
    let inserted = connection.prepare_cached(sql)?.execute(params![
        seq.cast_signed(),
        task,
        event.digest,
        placed.occurred_at_ms,
        event.rank,
        saturated(event.received_at_ms),
        event.signature,
        flags_to_bits(event.flags),
        placed.is_late,
        event.task_type,
        event.status,
        event.status_desc,
        event.event_time,
        event.event_time_ms,
        event.request_id,
        event.body,
        source_to_number(event.source),
    ])?;
    Ok(inserted == 1)
}

/// Creates the task of its first event, and returns its row.
fn insert_task(connection: &Connection, placed: &Placed<'_>) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO tasks (app_id, task_id, task_type, status, status_desc, \
                   occurred_at_ms, rank, digest, first_occurred_at_ms, last_received_at_ms, \
                   events, duplicates, flags, request_ids, steps) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?6, ?9, 1, 0, ?10, ?11, ?12)";
    let event = placed.event;
    connection.prepare_cached(sql)?.execute(params![
        event.app_id,
        event.task_id,
        event.task_type,
        event.status,
        event.status_desc,
        placed.occurred_at_ms,
        event.rank,
        event.digest,
        saturated(event.received_at_ms),
        flags_to_bits(event.flags),
        request_ids::value(event.request_id.as_deref()),
        steps::bits(None, &event.status),
    ])?;
    Ok(connection.last_insert_rowid())
}

/// What every event changes in its task.
macro_rules! of_any_event {
    () => {
        "first_occurred_at_ms = min(first_occurred_at_ms, ?2), \
         last_received_at_ms = max(last_received_at_ms, ?3), events = events + 1, \
         flags = flags | ?4, request_ids = with_request_id(request_ids, ?5), steps = ?6"
    };
}

/// Adds a new event, which is stored already, to its task. If it is the last one, the task
/// gets its status.
fn update_task(
    connection: &Connection,
    placed: &Placed<'_>,
    task: &KnownTask,
) -> rusqlite::Result<()> {
    let event = placed.event;
    let received_at_ms = saturated(event.received_at_ms);
    let flags = flags_to_bits(event.flags);
    let steps = steps_after(connection, placed, task)?;
    let of_any_event: [&dyn ToSql; 6] = [
        &task.id,
        &placed.occurred_at_ms,
        &received_at_ms,
        &flags,
        &event.request_id,
        &steps,
    ];
    if placed.is_late {
        let sql = concat!("UPDATE tasks SET ", of_any_event!(), " WHERE id = ?1");
        connection.prepare_cached(sql)?.execute(&of_any_event[..])?;
        return Ok(());
    }
    let sql = concat!(
        "UPDATE tasks SET ",
        of_any_event!(),
        ", occurred_at_ms = ?2, task_type = ?7, status = ?8, status_desc = ?9, rank = ?10, \
         digest = ?11 WHERE id = ?1"
    );
    let of_the_last: [&dyn ToSql; 5] = [
        &event.task_type,
        &event.status,
        &event.status_desc,
        &event.rank,
        &event.digest,
    ];
    let values = [&of_any_event[..], &of_the_last].concat();
    connection.prepare_cached(sql)?.execute(&values[..])?;
    Ok(())
}

/// Returns the flags of the steps of a task to which an event was added.
fn steps_after(
    connection: &Connection,
    placed: &Placed<'_>,
    task: &KnownTask,
) -> rusqlite::Result<i64> {
    let status = &placed.event.status;
    let all_count = task.events < TRAIL_STEPS_MAX as i64;
    if !placed.is_late && (task.steps == 0 || all_count) {
        return Ok(task.steps | steps::bits(Some(&task.status), status));
    }
    if task.steps == 0 {
        let event = placed.event;
        let place = (placed.occurred_at_ms, event.rank, event.digest.as_slice());
        if steps::are_usual(connection, task.id, place, status)? {
            return Ok(0);
        }
    }
    // A step was replaced by two others, or one that has a flag may be too old to count.
    steps::find(connection, task.id)
}

/// Counts another arrival of an event. Body, flags and times stay those of the first
/// arrival.
fn count_duplicate(connection: &Connection, event: &Event, task: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE events SET duplicates = duplicates + 1 \
               WHERE task = ?1 AND digest = ?2 RETURNING seq, request_id";
    let (seq, first_request_id): (i64, Option<String>) = connection
        .prepare_cached(sql)?
        .query_row(params![task, event.digest], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
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
    Ok(())
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
