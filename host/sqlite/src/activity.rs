//! What arrived, by minute and by hour.

use batchtask_journal::Activity;
use batchtask_journal::activity::{ActivityCounts, ActivityRange};
use batchtask_journal::stored::{saturated, unsigned};
use rusqlite::{Connection, Result, params};

/// How many old spans a step of pruning removes.
const STEP_SPANS: i64 = 1000;

/// Adds the counts of a batch.
pub(crate) fn store(connection: &Connection, counts: &ActivityCounts) -> Result<()> {
    let sql = "INSERT INTO activity (span_ms, start_ms, notifications, failures) \
               VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET \
               notifications = notifications + excluded.notifications, \
               failures = failures + excluded.failures";
    for (span_ms, start_ms, counts) in counts.iter() {
        connection.prepare_cached(sql)?.execute(params![
            saturated(span_ms),
            saturated(start_ms),
            saturated(counts.notifications),
            saturated(counts.failures),
        ])?;
    }
    Ok(())
}

/// Returns what arrived in a range.
pub(crate) fn list(connection: &Connection, range: ActivityRange) -> Result<Vec<Activity>> {
    let sql = "SELECT start_ms, notifications, failures FROM activity \
               WHERE span_ms = ?1 AND start_ms >= ?2 AND start_ms < ?3 ORDER BY start_ms";
    let mut statement = connection.prepare_cached(sql)?;
    let kept = [range.kept_ms, range.since_ms, range.until_ms].map(saturated);
    let kept = statement.query_map(kept, |row| {
        Ok(Activity {
            start_ms: unsigned(row.get(0)?),
            notifications: unsigned(row.get(1)?),
            failures: unsigned(row.get(2)?),
        })
    })?;
    let kept: Vec<Activity> = kept.collect::<Result<_>>()?;
    Ok(range.sum(kept))
}

/// Removes some of the spans that ended before `before_ms`.
pub(crate) fn prune(connection: &Connection, before_ms: u64) -> Result<()> {
    let sql = "DELETE FROM activity WHERE (span_ms, start_ms) IN \
               (SELECT span_ms, start_ms FROM activity \
                WHERE span_ms = ?1 AND start_ms < ?2 ORDER BY start_ms LIMIT ?3)";
    for span_ms in batchtask_journal::activity::KEPT_SPANS_MS {
        let before_ms = saturated(before_ms.saturating_sub(span_ms));
        connection
            .prepare_cached(sql)?
            .execute([saturated(span_ms), before_ms, STEP_SPANS])?;
    }
    Ok(())
}
