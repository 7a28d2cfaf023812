//! What the platform tells about a task besides its events.

use batchtask_journal::stored::saturated;
use batchtask_journal::{Details, StoredDetails, Task};
use rusqlite::{Connection, Row, params};

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

/// Adds details to a task, if there are any. `facts` is the first of two columns.
pub(crate) fn describe(row: &Row<'_>, facts: usize, task: &mut Task) -> rusqlite::Result<()> {
    if let Some(text) = row.get(facts)? {
        let stored = StoredDetails {
            facts: text,
            failed_devices: row.get(facts + 1)?,
        };
        stored.describe(task);
    }
    Ok(())
}
