//! What the platform tells about a task besides its events.

use std::collections::HashSet;

use batchtask_journal::stored::saturated;
use batchtask_journal::{Details, Error, StoredDetails, Task};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::readers::Readers;
use crate::values::to_stored;

/// Stores details, unless they are older than the stored ones. Those of unknown tasks
/// are ignored. It does not lock the totals, so it delays no commit.
const UPSERT: &str = "INSERT INTO batchtask.details AS d (task, at_ms, facts, failed_devices) \
     SELECT t.id, new.at_ms, new.facts, new.failed_devices \
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) \
         AS new (app_id, task_id, at_ms, facts, failed_devices) \
     JOIN batchtask.tasks AS t ON t.key = batchtask.task_key(new.app_id, new.task_id) \
     ORDER BY t.id \
     ON CONFLICT (task) DO UPDATE SET at_ms = excluded.at_ms, facts = excluded.facts, \
         failed_devices = coalesce(excluded.failed_devices, d.failed_devices) \
     WHERE excluded.at_ms >= d.at_ms";

/// Stores details in their order. A statement cannot change a row twice, so there are
/// several if a task occurs several times.
pub(crate) async fn store(readers: &Readers, details: &[Details]) -> Result<(), Error> {
    let (mut now, mut seen) = (Vec::new(), HashSet::new());
    for it in details {
        if !seen.insert((&it.app_id, &it.task_id)) {
            store_different(readers, &now).await?;
            (now, seen) = (vec![], HashSet::from([(&it.app_id, &it.task_id)]));
        }
        now.push(it);
    }
    store_different(readers, &now).await
}

/// Stores details of different tasks.
async fn store_different(readers: &Readers, details: &[&Details]) -> Result<(), Error> {
    let ids = |read: fn(&Details) -> &str| -> Vec<_> {
        details.iter().map(|it| to_stored(read(it))).collect()
    };
    let (app_ids, task_ids) = (ids(|it| &it.app_id), ids(|it| &it.task_id));
    let times: Vec<i64> = details.iter().map(|it| saturated(it.at_ms)).collect();
    let stored = details.iter().map(|it| StoredDetails::of(it));
    let (facts, devices): (Vec<_>, Vec<_>) = stored.map(|it| (it.facts, it.failed_devices)).unzip();
    readers
        .read(
            UPSERT,
            &[
                (&app_ids, Type::TEXT_ARRAY),
                (&task_ids, Type::TEXT_ARRAY),
                (&times, Type::INT8_ARRAY),
                (&facts, Type::TEXT_ARRAY),
                (&devices, Type::TEXT_ARRAY),
            ],
        )
        .await
        .map(drop)
}

/// Adds details to a task. `facts` is the first of two columns.
pub(crate) fn describe(
    row: &Row,
    facts: usize,
    task: &mut Task,
) -> Result<(), tokio_postgres::Error> {
    if let Some(text) = row.try_get(facts)? {
        let stored = StoredDetails {
            facts: text,
            failed_devices: row.try_get(facts + 1)?,
        };
        stored.describe(task);
    }
    Ok(())
}
