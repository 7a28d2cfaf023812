//! Removes old tasks with a final status, a few events at a time.

use std::time::{Duration, Instant};

use batchtask_journal::Pruned;
use batchtask_journal::stored::saturated;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::activity;
use crate::totals::Totals;

/// The maximum number of events that a step removes.
const STEP_EVENTS: i64 = 200;
/// The approximate maximum of bodies and texts that a step removes, in bytes: long
/// ones occupy many pages.
const STEP_BYTES: i64 = 1 << 20;
/// The time after which a step removes no more events.
const STEP_TIME: Duration = Duration::from_millis(10);
/// How long the digest of a pruned event is kept. The platform may repeat a
/// notification within a day; the second day is a margin.
const DIGESTS_KEPT_MS: u64 = 2 * 24 * 60 * 60 * 1000;

/// Returns whether `digest` belongs to an event that was pruned.
pub(crate) fn is_pruned(connection: &Connection, digest: &[u8]) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pruned WHERE digest = ?1)";
    connection
        .prepare_cached(sql)?
        .query_row([digest], |row| row.get(0))
}

/// Removes a few events of final tasks whose last new event arrived before
/// `before_ms`, in a transaction. `now_ms` is the time of the steady clock.
pub(crate) fn step(
    connection: &mut Connection,
    totals: &mut Totals,
    before_ms: u64,
    now_ms: u64,
) -> rusqlite::Result<Pruned> {
    let until = Instant::now() + STEP_TIME;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    forget_digests(&transaction, now_ms)?;
    activity::prune(&transaction, before_ms)?;
    let mut left = Budget {
        events: STEP_EVENTS,
        bytes: STEP_BYTES,
        until,
    };
    while left.is_positive()
        && let Some(task) = oldest_task(&transaction, before_ms)?
    {
        remove_first_events(&transaction, task, now_ms, &mut left)?;
    }
    let more = oldest_task(&transaction, before_ms)?.is_some();
    let events = (STEP_EVENTS - left.events).unsigned_abs();
    let sql = "SELECT EXISTS (SELECT 1 FROM pruned)";
    totals.knows_pruned = transaction
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    totals.pruned_events += events;
    totals.save(&transaction)?;
    transaction.commit()?;
    Ok(Pruned { events, more })
}

/// Returns whether [`step`] has anything to remove.
pub(crate) fn is_due(connection: &Connection, before_ms: u64) -> rusqlite::Result<bool> {
    oldest_task(connection, before_ms).map(|task| task.is_some())
}

/// How much a step may still remove.
struct Budget {
    events: i64,
    bytes: i64,
    until: Instant,
}

impl Budget {
    fn is_positive(&self) -> bool {
        self.events > 0 && self.bytes > 0 && Instant::now() < self.until
    }
}

/// Returns the final task with the oldest last arrival, if that is before
/// `before_ms`.
fn oldest_task(connection: &Connection, before_ms: u64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM tasks INDEXED BY tasks_final \
               WHERE rank = 5 AND last_received_at_ms < ?1 ORDER BY last_received_at_ms LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row([saturated(before_ms)], |row| row.get(0))
        .optional()
}

/// Removes the first events of a task. Removes the task too when no event is left.
/// Until then its state stays correct, because the state is the last event.
fn remove_first_events(
    connection: &Connection,
    task: i64,
    now_ms: u64,
    left: &mut Budget,
) -> rusqlite::Result<()> {
    let sql = "SELECT seq, octet_length(body) + octet_length(status_desc) \
               FROM events INDEXED BY events_by_time WHERE task = ?1 \
               ORDER BY occurred_at_ms, rank, digest LIMIT ?2";
    let found: Vec<(i64, i64)> = connection
        .prepare_cached(sql)?
        .query_map([task, left.events], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut removed = 0;
    for (seq, bytes) in found {
        // Removes at least one event, so that pruning makes progress.
        if removed > 0 && !left.is_positive() {
            break;
        }
        remove_event(connection, task, seq, now_ms)?;
        removed += 1;
        left.events -= 1;
        left.bytes -= bytes;
    }
    let sql = "UPDATE tasks SET events = events - ?2 WHERE id = ?1 RETURNING events";
    let events: i64 = connection
        .prepare_cached(sql)?
        .query_row([task, removed], |row| row.get(0))?;
    if events <= 0 || removed == 0 {
        let sql = "DELETE FROM tasks WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([task])?;
    }
    Ok(())
}

fn remove_event(connection: &Connection, task: i64, seq: i64, now_ms: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO pruned (digest, pruned_at_ms) \
               SELECT digest, ?2 FROM events WHERE seq = ?1 ON CONFLICT DO NOTHING";
    connection
        .prepare_cached(sql)?
        .execute(params![seq, saturated(now_ms)])?;
    let sql = "DELETE FROM repeats WHERE task = ?1 AND event = ?2";
    connection.prepare_cached(sql)?.execute([task, seq])?;
    let sql = "DELETE FROM events WHERE seq = ?1";
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(())
}

/// Deletes the digests that were kept for [`DIGESTS_KEPT_MS`].
fn forget_digests(connection: &Connection, now_ms: u64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM pruned WHERE id IN (SELECT id FROM pruned ORDER BY id LIMIT ?1) \
               AND pruned_at_ms < ?2";
    let before_ms = now_ms.saturating_sub(DIGESTS_KEPT_MS);
    connection
        .prepare_cached(sql)?
        .execute(params![2 * STEP_EVENTS, saturated(before_ms)])?;
    Ok(())
}
