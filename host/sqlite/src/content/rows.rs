//! Reads and writes the records of a copy.

use batchtask_journal::copy::record::{
    Batch, DetailsRecord, EventRecord, Part, PrunedRecord, Records, RejectRecord, SignatureRecord,
    SinkRecord, Size, TaskRecord, UndeliveredRecord,
};
use rusqlite::{Connection, Result, Row, params};

use crate::request_ids;

/// Returns the table of a part.
pub(super) fn table(part: Part) -> &'static str {
    match part {
        Part::Tasks => "tasks",
        Part::Events => "events",
        Part::Rejects => "quarantine",
        Part::Signatures => "signatures",
        Part::Pruned => "pruned",
        Part::Details => "details",
        Part::Sinks => "sinks",
        Part::Parked => "sink_parked",
        Part::DeadLetters => "sink_dead",
    }
}

/// Reads the records of a part, without the first `skip`. Ends when `send` returns false.
pub(super) fn read(
    connection: &Connection,
    part: Part,
    skip: u64,
    send: impl Fn(Records) -> bool,
) -> Result<()> {
    let send = &send;
    match part {
        Part::Tasks => each(connection, skip, TASKS, task, |batch| {
            send(Records::Tasks(batch))
        }),
        Part::Events => {
            let event = |row: &Row<'_>| event(connection, row);
            each(connection, skip, EVENTS, event, |batch| {
                send(Records::Events(batch))
            })
        }
        Part::Rejects => each(connection, skip, REJECTS, reject, |batch| {
            send(Records::Rejects(batch))
        }),
        Part::Signatures => each(connection, skip, SIGNATURES, signature, |batch| {
            send(Records::Signatures(batch))
        }),
        Part::Pruned => each(connection, skip, PRUNED, pruned, |batch| {
            send(Records::Pruned(batch))
        }),
        Part::Details => each(connection, skip, DETAILS, details, |batch| {
            send(Records::Details(batch))
        }),
        Part::Sinks => each(connection, skip, SINKS, sink, |batch| {
            send(Records::Sinks(batch))
        }),
        Part::Parked => each(connection, skip, PARKED, undelivered, |batch| {
            send(Records::Parked(batch))
        }),
        Part::DeadLetters => each(connection, skip, DEAD_LETTERS, undelivered, |batch| {
            send(Records::DeadLetters(batch))
        }),
    }
}

/// Reads the rows of a statement, and sends them in batches.
fn each<T: Size>(
    connection: &Connection,
    skip: u64,
    sql: &str,
    record: impl Fn(&Row<'_>) -> Result<T>,
    send: impl Fn(Vec<T>) -> bool,
) -> Result<()> {
    let mut statement = connection.prepare(&format!("{sql} LIMIT -1 OFFSET ?1"))?;
    let mut rows = statement.query([skip.cast_signed()])?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        if let Some(full) = batch.push(record(row)?)
            && !send(full)
        {
            return Ok(());
        }
    }
    batch.take().map(send);
    Ok(())
}

const TASKS: &str = "SELECT id, app_id, task_id, task_type, status, status_desc, occurred_at_ms, \
    rank, digest, first_occurred_at_ms, last_received_at_ms, events, duplicates, flags, \
    request_ids FROM tasks ORDER BY id";

fn task(row: &Row<'_>) -> Result<TaskRecord> {
    Ok(TaskRecord {
        id: row.get(0)?,
        app_id: row.get(1)?,
        task_id: row.get(2)?,
        task_type: row.get(3)?,
        status: row.get(4)?,
        status_desc: row.get(5)?,
        occurred_at_ms: row.get(6)?,
        rank: row.get(7)?,
        digest: row.get(8)?,
        first_occurred_at_ms: row.get(9)?,
        last_received_at_ms: row.get(10)?,
        events: row.get(11)?,
        duplicates: row.get(12)?,
        flags: row.get(13)?,
        request_ids: request_ids::list(&row.get::<_, Vec<u8>>(14)?),
    })
}

const EVENTS: &str = "SELECT seq, task, digest, occurred_at_ms, rank, received_at_ms, source, \
    signature, flags, late, duplicates, task_type, status, status_desc, event_time, \
    event_time_ms, request_id, body FROM events ORDER BY seq";

fn event(connection: &Connection, row: &Row<'_>) -> Result<EventRecord> {
    let (seq, task, duplicates) = (row.get(0)?, row.get(1)?, row.get(10)?);
    let repeats = match duplicates {
        0 => Vec::new(),
        _ => repeats(connection, task, seq)?,
    };
    Ok(EventRecord {
        seq,
        task,
        digest: row.get(2)?,
        occurred_at_ms: row.get(3)?,
        rank: row.get(4)?,
        received_at_ms: row.get(5)?,
        source: row.get(6)?,
        signature: row.get(7)?,
        flags: row.get(8)?,
        late: row.get(9)?,
        duplicates,
        task_type: row.get(11)?,
        status: row.get(12)?,
        status_desc: row.get(13)?,
        event_time: row.get(14)?,
        event_time_ms: row.get(15)?,
        request_id: row.get(16)?,
        body: row.get(17)?,
        repeats,
    })
}

fn repeats(connection: &Connection, task: i64, event: i64) -> Result<Vec<String>> {
    let sql = "SELECT request_id FROM repeats WHERE task = ?1 AND event = ?2 ORDER BY request_id";
    connection
        .prepare_cached(sql)?
        .query_map([task, event], |row| row.get(0))?
        .collect()
}

const REJECTS: &str = "SELECT seq, received_at_ms, bytes, reason, detail, pointer, body \
    FROM quarantine ORDER BY seq";

fn reject(row: &Row<'_>) -> Result<RejectRecord> {
    Ok(RejectRecord {
        seq: row.get(0)?,
        received_at_ms: row.get(1)?,
        bytes: row.get(2)?,
        reason: row.get(3)?,
        detail: row.get(4)?,
        pointer: row.get(5)?,
        body: row.get(6)?,
    })
}

const SIGNATURES: &str =
    "SELECT signature, digest, expires_at_ms FROM signatures ORDER BY signature";

fn signature(row: &Row<'_>) -> Result<SignatureRecord> {
    Ok(SignatureRecord {
        signature: row.get(0)?,
        digest: row.get(1)?,
        expires_at_ms: row.get(2)?,
    })
}

const PRUNED: &str = "SELECT digest, pruned_at_ms FROM pruned ORDER BY pruned_at_ms, digest";

fn pruned(row: &Row<'_>) -> Result<PrunedRecord> {
    Ok(PrunedRecord {
        digest: row.get(0)?,
        pruned_at_ms: row.get(1)?,
    })
}

const DETAILS: &str = "SELECT task, at_ms, facts, failed_devices FROM details ORDER BY task";

fn details(row: &Row<'_>) -> Result<DetailsRecord> {
    Ok(DetailsRecord {
        task: row.get(0)?,
        at_ms: row.get(1)?,
        facts: row.get(2)?,
        failed_devices: row.get(3)?,
    })
}

const SINKS: &str = "SELECT name, fence, position, paused, memo FROM sinks ORDER BY name";

fn sink(row: &Row<'_>) -> Result<SinkRecord> {
    Ok(SinkRecord {
        name: row.get(0)?,
        fence: row.get(1)?,
        position: row.get(2)?,
        paused: row.get(3)?,
        memo: row.get(4)?,
    })
}

const PARKED: &str = "SELECT sink, seq, app_id, task_id, attempts, not_before_ms, error \
    FROM sink_parked ORDER BY sink, seq";

const DEAD_LETTERS: &str = "SELECT sink, seq, app_id, task_id, attempts, died_at_ms, error \
    FROM sink_dead ORDER BY sink, seq";

fn undelivered(row: &Row<'_>) -> Result<UndeliveredRecord> {
    Ok(UndeliveredRecord {
        sink: row.get(0)?,
        seq: row.get(1)?,
        app_id: row.get(2)?,
        task_id: row.get(3)?,
        attempts: row.get(4)?,
        at_ms: row.get(5)?,
        error: row.get(6)?,
    })
}

/// Inserts records.
pub(super) fn write(connection: &Connection, records: &Records) -> Result<()> {
    match records {
        Records::Tasks(records) => records
            .iter()
            .try_for_each(|record| write_task(connection, record)),
        Records::Events(records) => records
            .iter()
            .try_for_each(|record| write_event(connection, record)),
        Records::Rejects(records) => records
            .iter()
            .try_for_each(|record| write_reject(connection, record)),
        Records::Signatures(records) => records.iter().try_for_each(|record| {
            let sql = "INSERT INTO signatures (signature, digest, expires_at_ms) \
                       VALUES (?1, ?2, ?3)";
            let values = params![record.signature, record.digest, record.expires_at_ms];
            insert(connection, sql, values)
        }),
        Records::Pruned(records) => records.iter().try_for_each(|record| {
            let sql = "INSERT INTO pruned (digest, pruned_at_ms) VALUES (?1, ?2)";
            insert(connection, sql, params![record.digest, record.pruned_at_ms])
        }),
        Records::Details(records) => records
            .iter()
            .try_for_each(|record| write_details(connection, record)),
        Records::Sinks(records) => records
            .iter()
            .try_for_each(|record| write_sink(connection, record)),
        Records::Parked(records) => records.iter().try_for_each(|record| {
            let sql = "INSERT INTO sink_parked \
                (sink, seq, app_id, task_id, attempts, not_before_ms, error) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            write_undelivered(connection, sql, record)
        }),
        Records::DeadLetters(records) => records.iter().try_for_each(|record| {
            let sql = "INSERT INTO sink_dead \
                (sink, seq, app_id, task_id, attempts, died_at_ms, error) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            write_undelivered(connection, sql, record)
        }),
    }
}

fn insert(connection: &Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<()> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn write_task(connection: &Connection, record: &TaskRecord) -> Result<()> {
    let sql = "INSERT INTO tasks (id, app_id, task_id, task_type, status, status_desc, \
        occurred_at_ms, rank, digest, first_occurred_at_ms, last_received_at_ms, events, \
        duplicates, flags, request_ids) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    let values = params![
        record.id,
        record.app_id,
        record.task_id,
        record.task_type,
        record.status,
        record.status_desc,
        record.occurred_at_ms,
        record.rank,
        record.digest,
        record.first_occurred_at_ms,
        record.last_received_at_ms,
        record.events,
        record.duplicates,
        record.flags,
        request_ids::value(&record.request_ids),
    ];
    insert(connection, sql, values)
}

fn write_event(connection: &Connection, record: &EventRecord) -> Result<()> {
    let sql = "INSERT INTO events (seq, task, digest, occurred_at_ms, rank, received_at_ms, \
        source, signature, flags, late, duplicates, task_type, status, status_desc, event_time, \
        event_time_ms, request_id, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, \
        ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
    let values = params![
        record.seq,
        record.task,
        record.digest,
        record.occurred_at_ms,
        record.rank,
        record.received_at_ms,
        record.source,
        record.signature,
        record.flags,
        record.late,
        record.duplicates,
        record.task_type,
        record.status,
        record.status_desc,
        record.event_time,
        record.event_time_ms,
        record.request_id,
        record.body,
    ];
    insert(connection, sql, values)?;
    record.repeats.iter().try_for_each(|id| {
        let sql = "INSERT INTO repeats (task, event, request_id) VALUES (?1, ?2, ?3)";
        insert(connection, sql, params![record.task, record.seq, id])
    })
}

fn write_reject(connection: &Connection, record: &RejectRecord) -> Result<()> {
    let sql = "INSERT INTO quarantine (seq, received_at_ms, bytes, reason, detail, pointer, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![
        record.seq,
        record.received_at_ms,
        record.bytes,
        record.reason,
        record.detail,
        record.pointer,
        record.body,
    ];
    insert(connection, sql, values)
}

fn write_details(connection: &Connection, record: &DetailsRecord) -> Result<()> {
    let sql = "INSERT INTO details (task, at_ms, facts, failed_devices) VALUES (?1, ?2, ?3, ?4)";
    let values = params![
        record.task,
        record.at_ms,
        record.facts,
        record.failed_devices
    ];
    insert(connection, sql, values)
}

fn write_sink(connection: &Connection, record: &SinkRecord) -> Result<()> {
    let sql = "INSERT INTO sinks (name, fence, owner, position, paused, memo) \
               VALUES (?1, ?2, '', ?3, ?4, ?5)";
    let values = params![
        record.name,
        record.fence,
        record.position,
        record.paused,
        record.memo
    ];
    insert(connection, sql, values)
}

fn write_undelivered(connection: &Connection, sql: &str, record: &UndeliveredRecord) -> Result<()> {
    let values = params![
        record.sink,
        record.seq,
        record.app_id,
        record.task_id,
        record.attempts,
        record.at_ms,
        record.error,
    ];
    insert(connection, sql, values)
}
