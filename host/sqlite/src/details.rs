//! What the platform tells about a task besides its events.

use batchtask_journal::stored::saturated;
use batchtask_journal::{Details, StoredDetails, Task};
use rusqlite::{Connection, OptionalExtension, params};

/// Stores details, unless they are older than the stored ones. Those of unknown tasks
/// are ignored.
const UPSERT: &str = "
    INSERT INTO details (task, at_ms, facts, failed_devices)
    SELECT id, ?3, ?4, ?5 FROM tasks WHERE app_id = ?1 AND task_id = ?2
    ON CONFLICT (task) DO UPDATE SET
        at_ms = excluded.at_ms,
        facts = excluded.facts,
        failed_devices = coalesce(excluded.failed_devices, details.failed_devices)
    WHERE excluded.at_ms >= details.at_ms";

/// Stores details.
pub(crate) fn store(connection: &Connection, all: &[Details]) -> rusqlite::Result<()> {
    for details in all {
        let stored = StoredDetails::of(details);
        connection.prepare_cached(UPSERT)?.execute(params![
            details.app_id,
            details.task_id,
            saturated(details.at_ms),
            stored.facts,
            stored.failed_devices,
        ])?;
    }
    Ok(())
}

/// Adds the details of the task in the row `id`, if there are any. The devices are
/// added only `with_devices`.
pub(crate) fn describe(
    connection: &Connection,
    id: i64,
    with_devices: bool,
    task: &mut Task,
) -> rusqlite::Result<()> {
    let sql = "SELECT facts, CASE WHEN ?2 THEN failed_devices END FROM details WHERE task = ?1";
    let stored = connection
        .prepare_cached(sql)?
        .query_row(params![id, with_devices], |row| {
            Ok(StoredDetails {
                facts: row.get(0)?,
                failed_devices: row.get(1)?,
            })
        })
        .optional()?;
    if let Some(stored) = stored {
        stored.describe(task);
    }
    Ok(())
}
