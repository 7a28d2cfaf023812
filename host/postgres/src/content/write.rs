//! Writes the records of a copy, with `COPY`.

use std::pin::pin;
use std::time::SystemTime;

use batchtask_journal::copy::record::{
    DetailsRecord, EventRecord, PrunedRecord, Records, RejectRecord, SignatureRecord, SinkRecord,
    TaskRecord, UndeliveredRecord,
};
use sha2::{Digest, Sha256};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use crate::link::Link;
use crate::values::to_stored;

type Result<T> = std::result::Result<T, tokio_postgres::Error>;
/// The values of a row.
type Values<'a> = Vec<Box<dyn ToSql + Sync + Send + 'a>>;

/// A table, with the columns that are written and their types.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Type)],
}

/// Writes records within a transaction.
pub(super) async fn write(link: &Link, records: &Records) -> Result<()> {
    match records {
        Records::Tasks(records) => rows(link, &TASKS, records.iter().map(task).collect()).await,
        Records::Events(records) => {
            rows(link, &EVENTS, records.iter().map(event).collect()).await?;
            rows(link, &REPEATS, records.iter().flat_map(repeats).collect()).await
        }
        Records::Rejects(records) => {
            rows(link, &REJECTS, records.iter().map(reject).collect()).await
        }
        Records::Signatures(records) => {
            rows(link, &SIGNATURES, records.iter().map(signature).collect()).await
        }
        Records::Pruned(records) => rows(link, &PRUNED, records.iter().map(pruned).collect()).await,
        Records::Details(records) => {
            rows(link, &DETAILS, records.iter().map(details).collect()).await
        }
        Records::Sinks(records) => rows(link, &SINKS, records.iter().map(sink).collect()).await,
        Records::Parked(records) => {
            rows(link, &PARKED, records.iter().map(undelivered).collect()).await
        }
        Records::DeadLetters(records) => {
            let records = records.iter().map(undelivered).collect();
            rows(link, &DEAD_LETTERS, records).await
        }
    }
}

async fn rows(link: &Link, table: &Table, rows: Vec<Values<'_>>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let types: Vec<Type> = table.columns.iter().map(|(_, kind)| kind.clone()).collect();
    let (table, names) = (table.name, names.join(", "));
    let sql = format!("COPY batchtask.{table} ({names}) FROM STDIN BINARY");
    let mut writer = pin!(BinaryCopyInWriter::new(link.copy_in(&sql).await?, &types));
    for row in rows {
        let values: Vec<&(dyn ToSql + Sync)> = row.iter().map(|value| &**value as _).collect();
        writer.as_mut().write(&values).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Boxes the values of a row.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as Box<dyn ToSql + Sync + Send + '_>),*]
    };
}

const TASKS: Table = Table {
    name: "tasks",
    columns: &[
        ("id", Type::INT8),
        ("app_id", Type::TEXT),
        ("task_id", Type::TEXT),
        ("task_type", Type::TEXT),
        ("status", Type::TEXT),
        ("status_desc", Type::TEXT),
        ("occurred_at_ms", Type::INT8),
        ("rank", Type::INT2),
        ("digest", Type::BYTEA),
        ("first_occurred_at_ms", Type::INT8),
        ("last_received_at_ms", Type::INT8),
        ("events", Type::INT8),
        ("duplicates", Type::INT8),
        ("flags", Type::INT4),
        ("request_ids", Type::TEXT_ARRAY),
        ("key", Type::BYTEA),
    ],
};

fn task(record: &TaskRecord) -> Values<'_> {
    let ids = record.request_ids.iter().map(|id| to_stored(id));
    values![
        record.id,
        to_stored(&record.app_id),
        to_stored(&record.task_id),
        to_stored(&record.task_type),
        to_stored(&record.status),
        to_stored(&record.status_desc),
        record.occurred_at_ms,
        record.rank,
        &record.digest[..],
        record.first_occurred_at_ms,
        record.last_received_at_ms,
        record.events,
        record.duplicates,
        record.flags,
        ids.collect::<Vec<_>>(),
        key(record),
    ]
}

/// Returns the hash that identifies a task, as the function `task_key` of the database
/// does.
fn key(record: &TaskRecord) -> Vec<u8> {
    let (app_id, task_id) = (to_stored(&record.app_id), to_stored(&record.task_id));
    let ids = [app_id.as_bytes(), b"\0", task_id.as_bytes()].concat();
    Sha256::digest(ids).to_vec()
}

const EVENTS: Table = Table {
    name: "events",
    columns: &[
        ("seq", Type::INT8),
        ("task", Type::INT8),
        ("digest", Type::BYTEA),
        ("occurred_at_ms", Type::INT8),
        ("rank", Type::INT2),
        ("received_at_ms", Type::INT8),
        ("source", Type::INT2),
        ("signature", Type::TEXT),
        ("flags", Type::INT4),
        ("late", Type::BOOL),
        ("duplicates", Type::INT8),
        ("task_type", Type::TEXT),
        ("status", Type::TEXT),
        ("status_desc", Type::TEXT),
        ("event_time", Type::TEXT),
        ("event_time_ms", Type::TEXT),
        ("request_id", Type::TEXT),
        ("body", Type::BYTEA),
    ],
};

fn event(record: &EventRecord) -> Values<'_> {
    values![
        record.seq,
        record.task,
        &record.digest[..],
        record.occurred_at_ms,
        record.rank,
        record.received_at_ms,
        record.source,
        record.signature.as_deref().map(to_stored),
        record.flags,
        record.late,
        record.duplicates,
        to_stored(&record.task_type),
        to_stored(&record.status),
        to_stored(&record.status_desc),
        record.event_time.as_deref().map(to_stored),
        record.event_time_ms.as_deref().map(to_stored),
        record.request_id.as_deref().map(to_stored),
        &record.body[..],
    ]
}

const REPEATS: Table = Table {
    name: "repeats",
    columns: &[("event", Type::INT8), ("request_id", Type::TEXT)],
};

fn repeats(record: &EventRecord) -> Vec<Values<'_>> {
    let ids = record.repeats.iter();
    ids.map(|id| values![record.seq, to_stored(id)]).collect()
}

const REJECTS: Table = Table {
    name: "quarantine",
    columns: &[
        ("seq", Type::INT8),
        ("received_at_ms", Type::INT8),
        ("bytes", Type::INT8),
        ("reason", Type::TEXT),
        ("detail", Type::TEXT),
        ("pointer", Type::TEXT),
        ("body", Type::BYTEA),
    ],
};

fn reject(record: &RejectRecord) -> Values<'_> {
    values![
        record.seq,
        record.received_at_ms,
        record.bytes,
        to_stored(&record.reason),
        to_stored(&record.detail),
        record.pointer.as_deref().map(to_stored),
        &record.body[..],
    ]
}

const SIGNATURES: Table = Table {
    name: "signatures",
    columns: &[
        ("signature", Type::BYTEA),
        ("digest", Type::BYTEA),
        ("expires_at_ms", Type::INT8),
    ],
};

fn signature(record: &SignatureRecord) -> Values<'_> {
    values![
        &record.signature[..],
        &record.digest[..],
        record.expires_at_ms
    ]
}

const PRUNED: Table = Table {
    name: "pruned",
    columns: &[("digest", Type::BYTEA), ("pruned_at_ms", Type::INT8)],
};

fn pruned(record: &PrunedRecord) -> Values<'_> {
    values![&record.digest[..], record.pruned_at_ms]
}

const DETAILS: Table = Table {
    name: "details",
    columns: &[
        ("task", Type::INT8),
        ("at_ms", Type::INT8),
        ("facts", Type::TEXT),
        ("failed_devices", Type::TEXT),
    ],
};

fn details(record: &DetailsRecord) -> Values<'_> {
    values![
        record.task,
        record.at_ms,
        &record.facts[..],
        record.failed_devices.as_deref()
    ]
}

const SINKS: Table = Table {
    name: "sinks",
    columns: &[
        ("name", Type::TEXT),
        ("fence", Type::INT8),
        ("owner", Type::TEXT),
        ("expires_at", Type::TIMESTAMPTZ),
        ("position", Type::INT8),
        ("paused", Type::BOOL),
        ("memo", Type::TEXT),
    ],
};

fn sink(record: &SinkRecord) -> Values<'_> {
    values![
        to_stored(&record.name),
        record.fence,
        "",
        SystemTime::UNIX_EPOCH,
        record.position,
        record.paused,
        to_stored(&record.memo)
    ]
}

const PARKED: Table = Table {
    name: "sink_parked",
    columns: &[
        ("sink", Type::TEXT),
        ("seq", Type::INT8),
        ("app_id", Type::TEXT),
        ("task_id", Type::TEXT),
        ("attempts", Type::INT8),
        ("not_before_ms", Type::INT8),
        ("error", Type::TEXT),
    ],
};

const DEAD_LETTERS: Table = Table {
    name: "sink_dead",
    columns: &[
        ("sink", Type::TEXT),
        ("seq", Type::INT8),
        ("app_id", Type::TEXT),
        ("task_id", Type::TEXT),
        ("attempts", Type::INT8),
        ("died_at_ms", Type::INT8),
        ("error", Type::TEXT),
    ],
};

fn undelivered(record: &UndeliveredRecord) -> Values<'_> {
    values![
        to_stored(&record.sink),
        record.seq,
        to_stored(&record.app_id),
        to_stored(&record.task_id),
        record.attempts,
        record.at_ms,
        to_stored(&record.error),
    ]
}
