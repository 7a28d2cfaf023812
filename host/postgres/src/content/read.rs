//! Reads the records of a copy.

use std::pin::pin;

use batchtask_journal::Error;
use batchtask_journal::copy::record::{
    Batch, DetailsRecord, EventRecord, Part, PrunedRecord, Records, RejectRecord, SignatureRecord,
    SinkRecord, Size, TaskRecord, UndeliveredRecord,
};
use batchtask_journal::stored::saturated;
use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::link::Link;
use crate::values::from_stored;

type Result<T> = std::result::Result<T, tokio_postgres::Error>;
type Sender = mpsc::Sender<std::result::Result<Records, Error>>;

/// Reads the records of a part, without the first `skip`, and sends them.
pub(super) async fn read(link: &Link, part: Part, skip: u64, sender: &Sender) -> Result<()> {
    match part {
        Part::Tasks => each(link, skip, sender, TASKS, task, Records::Tasks).await,
        Part::Events => each(link, skip, sender, EVENTS, event, Records::Events).await,
        Part::Rejects => each(link, skip, sender, REJECTS, reject, Records::Rejects).await,
        Part::Signatures => {
            each(
                link,
                skip,
                sender,
                SIGNATURES,
                signature,
                Records::Signatures,
            )
            .await
        }
        Part::Pruned => each(link, skip, sender, PRUNED, pruned, Records::Pruned).await,
        Part::Details => each(link, skip, sender, DETAILS, details, Records::Details).await,
        Part::Sinks => each(link, skip, sender, SINKS, sink, Records::Sinks).await,
        Part::Parked => each(link, skip, sender, PARKED, undelivered, Records::Parked).await,
        Part::DeadLetters => {
            let records = Records::DeadLetters;
            each(link, skip, sender, DEAD_LETTERS, undelivered, records).await
        }
    }
}

/// Reads the rows of a statement one by one, and sends them in batches.
async fn each<T: Size>(
    link: &Link,
    skip: u64,
    sender: &Sender,
    sql: &str,
    record: impl Fn(&Row) -> Result<T>,
    records: impl Fn(Vec<T>) -> Records,
) -> Result<()> {
    let rows = link.stream(sql, &[(&saturated(skip), Type::INT8)]).await?;
    let mut rows = pin!(rows);
    let mut batch = Batch::default();
    while let Some(row) = rows.try_next().await? {
        if let Some(full) = batch.push(record(&row)?)
            && sender.send(Ok(records(full))).await.is_err()
        {
            return Ok(());
        }
    }
    if let Some(rest) = batch.take() {
        // The receiver may be gone.
        let _ = sender.send(Ok(records(rest))).await;
    }
    Ok(())
}

fn text(row: &Row, column: usize) -> Result<String> {
    row.try_get(column).map(from_stored)
}

fn optional(row: &Row, column: usize) -> Result<Option<String>> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.map(from_stored))
}

fn texts(row: &Row, column: usize) -> Result<Vec<String>> {
    let texts: Option<Vec<String>> = row.try_get(column)?;
    Ok(texts
        .unwrap_or_default()
        .into_iter()
        .map(from_stored)
        .collect())
}

const TASKS: &str = "SELECT id, app_id, task_id, task_type, status, status_desc, occurred_at_ms, \
     rank, digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, \
     request_ids FROM batchtask.tasks ORDER BY id OFFSET $1";

fn task(row: &Row) -> Result<TaskRecord> {
    Ok(TaskRecord {
        id: row.try_get(0)?,
        app_id: text(row, 1)?,
        task_id: text(row, 2)?,
        task_type: text(row, 3)?,
        status: text(row, 4)?,
        status_desc: text(row, 5)?,
        occurred_at_ms: row.try_get(6)?,
        rank: row.try_get(7)?,
        digest: row.try_get(8)?,
        first_occurred_at_ms: row.try_get(9)?,
        last_received_at_ms: row.try_get(10)?,
        events: row.try_get(11)?,
        duplicates: row.try_get(12)?,
        flags: row.try_get(13)?,
        request_ids: texts(row, 14)?,
    })
}

const EVENTS: &str = "SELECT seq, task, digest, occurred_at_ms, rank, received_at_ms, source, \
     signature, flags, late, duplicates, task_type, status, status_desc, event_time, \
     event_time_ms, request_id, body, CASE WHEN duplicates > 0 THEN ARRAY( \
         SELECT r.request_id FROM batchtask.repeats AS r WHERE r.event = seq ORDER BY 1) END \
     FROM batchtask.events ORDER BY seq OFFSET $1";

fn event(row: &Row) -> Result<EventRecord> {
    Ok(EventRecord {
        seq: row.try_get(0)?,
        task: row.try_get(1)?,
        digest: row.try_get(2)?,
        occurred_at_ms: row.try_get(3)?,
        rank: row.try_get(4)?,
        received_at_ms: row.try_get(5)?,
        source: row.try_get(6)?,
        signature: optional(row, 7)?,
        flags: row.try_get(8)?,
        late: row.try_get(9)?,
        duplicates: row.try_get(10)?,
        task_type: text(row, 11)?,
        status: text(row, 12)?,
        status_desc: text(row, 13)?,
        event_time: optional(row, 14)?,
        event_time_ms: optional(row, 15)?,
        request_id: optional(row, 16)?,
        body: row.try_get(17)?,
        repeats: texts(row, 18)?,
    })
}

const REJECTS: &str = "SELECT seq, received_at_ms, bytes, reason, detail, pointer, body \
     FROM batchtask.quarantine ORDER BY seq OFFSET $1";

fn reject(row: &Row) -> Result<RejectRecord> {
    Ok(RejectRecord {
        seq: row.try_get(0)?,
        received_at_ms: row.try_get(1)?,
        bytes: row.try_get(2)?,
        reason: text(row, 3)?,
        detail: text(row, 4)?,
        pointer: optional(row, 5)?,
        body: row.try_get(6)?,
    })
}

const SIGNATURES: &str = "SELECT signature, digest, expires_at_ms \
     FROM batchtask.signatures ORDER BY signature OFFSET $1";

fn signature(row: &Row) -> Result<SignatureRecord> {
    Ok(SignatureRecord {
        signature: row.try_get(0)?,
        digest: row.try_get(1)?,
        expires_at_ms: row.try_get(2)?,
    })
}

const PRUNED: &str = "SELECT digest, pruned_at_ms \
     FROM batchtask.pruned ORDER BY pruned_at_ms, digest OFFSET $1";

fn pruned(row: &Row) -> Result<PrunedRecord> {
    Ok(PrunedRecord {
        digest: row.try_get(0)?,
        pruned_at_ms: row.try_get(1)?,
    })
}

const DETAILS: &str = "SELECT task, at_ms, facts, failed_devices \
     FROM batchtask.details ORDER BY task OFFSET $1";

fn details(row: &Row) -> Result<DetailsRecord> {
    Ok(DetailsRecord {
        task: row.try_get(0)?,
        at_ms: row.try_get(1)?,
        facts: row.try_get(2)?,
        failed_devices: row.try_get(3)?,
    })
}

const SINKS: &str = "SELECT name, fence, position, paused, memo \
     FROM batchtask.sinks ORDER BY name OFFSET $1";

fn sink(row: &Row) -> Result<SinkRecord> {
    Ok(SinkRecord {
        name: text(row, 0)?,
        fence: row.try_get(1)?,
        position: row.try_get(2)?,
        paused: row.try_get(3)?,
        memo: text(row, 4)?,
    })
}

const PARKED: &str = "SELECT sink, seq, app_id, task_id, attempts, not_before_ms, error \
     FROM batchtask.sink_parked ORDER BY sink, seq OFFSET $1";

const DEAD_LETTERS: &str = "SELECT sink, seq, app_id, task_id, attempts, died_at_ms, error \
     FROM batchtask.sink_dead ORDER BY sink, seq OFFSET $1";

fn undelivered(row: &Row) -> Result<UndeliveredRecord> {
    Ok(UndeliveredRecord {
        sink: text(row, 0)?,
        seq: row.try_get(1)?,
        app_id: text(row, 2)?,
        task_id: text(row, 3)?,
        attempts: row.try_get(4)?,
        at_ms: row.try_get(5)?,
        error: text(row, 6)?,
    })
}
