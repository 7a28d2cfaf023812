//! The progress of sinks. This process is the only one that writes the file, so a sink
//! can be acquired at any time, and its lease has no end.

use batchtask_journal::outbox::{Acquired, DeadLetter, Hold, ParkedEvent, SinkChange, SinkState};
use batchtask_journal::stored::{saturated, unsigned};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Makes `owner` the owner of a sink.
pub(crate) fn acquire(
    connection: &Connection,
    sink: &str,
    owner: &str,
    position: u64,
) -> rusqlite::Result<Acquired> {
    let sql = "INSERT INTO sinks (name, fence, owner, position) VALUES (?1, 1, ?2, ?3) \
               ON CONFLICT (name) DO UPDATE SET fence = fence + 1, owner = excluded.owner \
               RETURNING fence";
    let fence: i64 = connection
        .prepare_cached(sql)?
        .query_row(params![sink, owner, saturated(position)], |row| row.get(0))?;
    Ok(Acquired::Owned(unsigned(fence)))
}

/// Returns whether this is the number of the owner.
pub(crate) fn hold(connection: &Connection, sink: &str, fence: u64) -> rusqlite::Result<Hold> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sinks WHERE name = ?1 AND fence = ?2)";
    let is_owner: bool = connection
        .prepare_cached(sql)?
        .query_row(params![sink, saturated(fence)], |row| row.get(0))?;
    Ok(if is_owner { Hold::Kept } else { Hold::Lost })
}

/// Ends the ownership.
pub(crate) fn release(connection: &Connection, sink: &str, fence: u64) -> rusqlite::Result<Hold> {
    let held = hold(connection, sink, fence)?;
    if held == Hold::Kept {
        let sql = "UPDATE sinks SET owner = '' WHERE name = ?1";
        connection.prepare_cached(sql)?.execute([sink])?;
    }
    Ok(held)
}

/// Stores a change of the owner.
pub(crate) fn save(
    connection: &Connection,
    sink: &str,
    fence: u64,
    change: &SinkChange,
) -> rusqlite::Result<Hold> {
    let held = hold(connection, sink, fence)?;
    if held == Hold::Lost {
        return Ok(held);
    }
    let sql = "UPDATE sinks SET position = ?2, paused = ?3, memo = coalesce(?4, memo) \
               WHERE name = ?1";
    let position = saturated(change.position);
    connection
        .prepare_cached(sql)?
        .execute(params![sink, position, change.paused, change.memo])?;
    remove(connection, "sink_parked", sink, &change.unparked)?;
    remove(connection, "sink_dead", sink, &change.resolved)?;
    for event in &change.parked {
        park(connection, sink, event)?;
    }
    for letter in &change.dead {
        bury(connection, sink, letter)?;
    }
    Ok(held)
}

fn remove(connection: &Connection, table: &str, sink: &str, seqs: &[u64]) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {table} WHERE sink = ?1 AND seq = ?2");
    for seq in seqs {
        let mut statement = connection.prepare_cached(&sql)?;
        statement.execute(params![sink, saturated(*seq)])?;
    }
    Ok(())
}

fn park(connection: &Connection, sink: &str, event: &ParkedEvent) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sink_parked \
               (sink, seq, app_id, task_id, attempts, not_before_ms, error) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        sink,
        saturated(event.seq),
        event.app_id,
        event.task_id,
        event.attempts,
        saturated(event.not_before_ms),
        event.error,
    ])?;
    Ok(())
}

fn bury(connection: &Connection, sink: &str, letter: &DeadLetter) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO sink_dead \
               (sink, seq, app_id, task_id, attempts, died_at_ms, error) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        sink,
        saturated(letter.seq),
        letter.app_id,
        letter.task_id,
        letter.attempts,
        saturated(letter.died_at_ms),
        letter.error,
    ])?;
    Ok(())
}

/// Returns the state of a sink, or `None` if it was never acquired.
pub(crate) fn load(connection: &Connection, sink: &str) -> rusqlite::Result<Option<SinkState>> {
    let sql = "SELECT owner, position, paused, memo FROM sinks WHERE name = ?1";
    let state = connection
        .prepare_cached(sql)?
        .query_row([sink], |row| {
            Ok(SinkState {
                owner: row.get(0)?,
                position: row.get(1).map(unsigned)?,
                paused: row.get(2)?,
                memo: row.get(3)?,
                ..SinkState::default()
            })
        })
        .optional()?;
    let Some(mut state) = state else {
        return Ok(None);
    };
    let columns = "seq, app_id, task_id, attempts, error";
    let sql = format!("SELECT {columns}, not_before_ms FROM sink_parked WHERE sink = ?1");
    state.parked = rows(connection, &sql, sink, |row| {
        Ok(ParkedEvent {
            seq: row.get(0).map(unsigned)?,
            app_id: row.get(1)?,
            task_id: row.get(2)?,
            attempts: row.get(3)?,
            error: row.get(4)?,
            not_before_ms: row.get(5).map(unsigned)?,
        })
    })?;
    let sql = format!("SELECT {columns}, died_at_ms FROM sink_dead WHERE sink = ?1");
    state.dead = rows(connection, &sql, sink, |row| {
        Ok(DeadLetter {
            seq: row.get(0).map(unsigned)?,
            app_id: row.get(1)?,
            task_id: row.get(2)?,
            attempts: row.get(3)?,
            error: row.get(4)?,
            died_at_ms: row.get(5).map(unsigned)?,
        })
    })?;
    Ok(Some(state))
}

/// Returns the rows of a sink, by their `seq`.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    sink: &str,
    of_row: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(&format!("{sql} ORDER BY seq"))?;
    statement.query_map([sink], of_row)?.collect()
}
