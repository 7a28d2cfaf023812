//! The progress of sinks, with a lease for the host that owns each.

use std::time::Duration;

use batchtask_journal::Error;
use batchtask_journal::outbox::{Acquired, DeadLetter, Hold, ParkedEvent, SinkChange, SinkState};
use batchtask_journal::stored::{saturated, unsigned};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::link::Parameter;
use crate::readers::Readers;
use crate::values::{from_stored, to_stored};

/// Makes a host the owner, unless another one has an unexpired lease. A host that
/// repeats the statement gets the next number.
const ACQUIRE: &str = "INSERT INTO batchtask.sinks AS s \
         (name, fence, owner, expires_at, position) \
     VALUES ($1, 1, $2, clock_timestamp() + $3::bigint * interval '1 ms', $4) \
     ON CONFLICT (name) DO UPDATE SET fence = s.fence + 1, owner = excluded.owner, \
         expires_at = excluded.expires_at \
     WHERE s.owner IN ('', excluded.owner) OR s.expires_at <= clock_timestamp() \
     RETURNING s.fence";

const OWNER: &str = "SELECT owner FROM batchtask.sinks WHERE name = $1";

const RENEW: &str = "UPDATE batchtask.sinks \
     SET expires_at = clock_timestamp() + $3::bigint * interval '1 ms' \
     WHERE name = $1 AND fence = $2 RETURNING fence";

const RELEASE: &str = "UPDATE batchtask.sinks SET owner = '', expires_at = clock_timestamp() \
     WHERE name = $1 AND fence = $2 RETURNING fence";

const SAVE: &str = "SELECT batchtask.save_sink($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
     $12, $13, $14, $15, $16, $17, $18, $19)";

pub(crate) async fn acquire(
    readers: &Readers,
    sink: &str,
    owner: &str,
    lease: Duration,
    position: u64,
) -> Result<Acquired, Error> {
    let (lease_ms, position) = (milliseconds(lease), saturated(position));
    let rows = readers
        .read(
            ACQUIRE,
            &[
                (&sink, Type::TEXT),
                (&owner, Type::TEXT),
                (&lease_ms, Type::INT8),
                (&position, Type::INT8),
            ],
        )
        .await?;
    if let Some(row) = rows.first() {
        return Ok(Acquired::Owned(unsigned(column(readers, row, 0)?)));
    }
    let rows = readers.read(OWNER, &[(&sink, Type::TEXT)]).await?;
    let owner = rows
        .first()
        .map(|row| column(readers, row, 0))
        .transpose()?;
    Ok(Acquired::HeldBy(owner.unwrap_or_default()))
}

pub(crate) async fn renew(
    readers: &Readers,
    sink: &str,
    fence: u64,
    lease: Duration,
) -> Result<Hold, Error> {
    let (fence, lease_ms) = (saturated(fence), milliseconds(lease));
    let rows = readers
        .read(
            RENEW,
            &[
                (&sink, Type::TEXT),
                (&fence, Type::INT8),
                (&lease_ms, Type::INT8),
            ],
        )
        .await?;
    Ok(hold(!rows.is_empty()))
}

pub(crate) async fn release(readers: &Readers, sink: &str, fence: u64) -> Result<Hold, Error> {
    let fence = saturated(fence);
    let rows = readers
        .read(RELEASE, &[(&sink, Type::TEXT), (&fence, Type::INT8)])
        .await?;
    Ok(hold(!rows.is_empty()))
}

pub(crate) async fn save(
    readers: &Readers,
    sink: &str,
    fence: u64,
    change: &SinkChange,
) -> Result<Hold, Error> {
    let (fence, position) = (saturated(fence), saturated(change.position));
    let memo = change.memo.as_deref().map(to_stored);
    let mut parked = Columns::default();
    for event in &change.parked {
        parked.push(event.seq, &event.app_id, &event.task_id);
        parked.push_attempts(event.attempts, event.not_before_ms, &event.error);
    }
    let mut dead = Columns::default();
    for letter in &change.dead {
        dead.push(letter.seq, &letter.app_id, &letter.task_id);
        dead.push_attempts(letter.attempts, letter.died_at_ms, &letter.error);
    }
    let unparked: Vec<i64> = change.unparked.iter().copied().map(saturated).collect();
    let resolved: Vec<i64> = change.resolved.iter().copied().map(saturated).collect();
    let mut parameters: Vec<Parameter<'_>> = vec![
        (&sink, Type::TEXT),
        (&fence, Type::INT8),
        (&position, Type::INT8),
        (&change.paused, Type::BOOL),
        (&memo, Type::TEXT),
    ];
    parameters.extend(parked.parameters());
    parameters.push((&unparked, Type::INT8_ARRAY));
    parameters.extend(dead.parameters());
    parameters.push((&resolved, Type::INT8_ARRAY));
    let rows = readers.read(SAVE, &parameters).await?;
    let is_kept = rows
        .first()
        .map(|row| column(readers, row, 0))
        .transpose()?;
    Ok(hold(is_kept.unwrap_or(false)))
}

/// Rows of parked events or dead letters, column by column.
#[derive(Default)]
struct Columns {
    seqs: Vec<i64>,
    app_ids: Vec<String>,
    task_ids: Vec<String>,
    attempts: Vec<i64>,
    times_ms: Vec<i64>,
    errors: Vec<String>,
}

impl Columns {
    fn push(&mut self, seq: u64, app_id: &str, task_id: &str) {
        self.seqs.push(saturated(seq));
        self.app_ids.push(to_stored(app_id).into_owned());
        self.task_ids.push(to_stored(task_id).into_owned());
    }

    fn push_attempts(&mut self, attempts: u32, time_ms: u64, error: &str) {
        self.attempts.push(attempts.into());
        self.times_ms.push(saturated(time_ms));
        self.errors.push(to_stored(error).into_owned());
    }

    fn parameters(&self) -> [Parameter<'_>; 6] {
        [
            (&self.seqs, Type::INT8_ARRAY),
            (&self.app_ids, Type::TEXT_ARRAY),
            (&self.task_ids, Type::TEXT_ARRAY),
            (&self.attempts, Type::INT8_ARRAY),
            (&self.times_ms, Type::INT8_ARRAY),
            (&self.errors, Type::TEXT_ARRAY),
        ]
    }
}

/// Returns the state of a sink, or `None` if it was never acquired.
pub(crate) async fn load(readers: &Readers, sink: &str) -> Result<Option<SinkState>, Error> {
    let sql = "SELECT owner, position, paused, memo FROM batchtask.sinks WHERE name = $1";
    let rows = readers.read(sql, &[(&sink, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(SinkState {
        owner: column(readers, row, 0)?,
        position: unsigned(column(readers, row, 1)?),
        paused: column(readers, row, 2)?,
        memo: from_stored(column(readers, row, 3)?),
        parked: listed(readers, sink, "sink_parked", "not_before_ms", parked).await?,
        dead: listed(readers, sink, "sink_dead", "died_at_ms", dead).await?,
    }))
}

/// Returns the rows of a sink in a table, by their `seq`.
async fn listed<T>(
    readers: &Readers,
    sink: &str,
    table: &str,
    time: &str,
    of_row: fn(&Readers, &Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let sql = format!(
        "SELECT seq, app_id, task_id, attempts, {time}, error FROM batchtask.{table} \
         WHERE sink = $1 ORDER BY seq"
    );
    let rows = readers.read(&sql, &[(&sink, Type::TEXT)]).await?;
    rows.iter().map(|row| of_row(readers, row)).collect()
}

fn parked(readers: &Readers, row: &Row) -> Result<ParkedEvent, Error> {
    Ok(ParkedEvent {
        seq: unsigned(column(readers, row, 0)?),
        app_id: from_stored(column(readers, row, 1)?),
        task_id: from_stored(column(readers, row, 2)?),
        attempts: attempts(column(readers, row, 3)?),
        not_before_ms: unsigned(column(readers, row, 4)?),
        error: from_stored(column(readers, row, 5)?),
    })
}

fn dead(readers: &Readers, row: &Row) -> Result<DeadLetter, Error> {
    Ok(DeadLetter {
        seq: unsigned(column(readers, row, 0)?),
        app_id: from_stored(column(readers, row, 1)?),
        task_id: from_stored(column(readers, row, 2)?),
        attempts: attempts(column(readers, row, 3)?),
        died_at_ms: unsigned(column(readers, row, 4)?),
        error: from_stored(column(readers, row, 5)?),
    })
}

fn attempts(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

fn column<'a, T: FromSql<'a>>(readers: &Readers, row: &'a Row, at: usize) -> Result<T, Error> {
    row.try_get(at).map_err(|error| readers.unreadable(&error))
}

fn hold(is_kept: bool) -> Hold {
    if is_kept { Hold::Kept } else { Hold::Lost }
}

/// Returns a duration as a number of the database.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
