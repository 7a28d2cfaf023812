//! Removes old tasks with a final status, a few events at a time.

use std::time::{Duration, SystemTime};

use batchtask_journal::stored::{saturated, unsigned};
use batchtask_journal::{Error, Pruned};
use tokio_postgres::types::Type;

use crate::options::Options;
use crate::readers::Readers;

/// How often old tasks are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The time between two steps, so that most of the time remains for notifications.
const STEP_EVERY: Duration = Duration::from_millis(50);

/// Removes old tasks until the task is aborted. All hosts of a journal do it; a step
/// of one host waits for a step of another.
pub(crate) async fn prune_regularly(readers: Readers, options: Options, keep: Duration) {
    let mut has_failed = false;
    loop {
        let keep_ms = saturated(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let pruned = step(&readers, &options, When::Older { keep_ms }).await;
        if let Err(error) = &pruned
            && !has_failed
        {
            tracing::warn!("old tasks cannot be removed: {error}");
        }
        has_failed = pruned.is_err();
        let more = pruned.is_ok_and(|pruned| pruned.more);
        tokio::time::sleep(if more { STEP_EVERY } else { LOOK_EVERY }).await;
    }
}

/// Which tasks are old.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// Their last new event arrived before this time.
    Before(u64),
    /// Their last new event arrived longer than this ago.
    Older {
        /// In milliseconds.
        keep_ms: i64,
    },
}

/// Removes a few events.
pub(crate) async fn step(
    readers: &Readers,
    options: &Options,
    when: When,
) -> Result<Pruned, Error> {
    let (before_ms, keep_ms, host_ms) = match when {
        When::Before(before_ms) => (Some(saturated(before_ms)), None, None),
        When::Older { keep_ms } => (None, Some(keep_ms), Some(saturated(now_ms()))),
    };
    let lock_timeout = format!("{}ms", options.lock_timeout.as_millis());
    let rows = readers
        .read(
            "SELECT events, more FROM batchtask.prune($1, $2, $3, $4)",
            &[
                (&lock_timeout, Type::TEXT),
                (&before_ms, Type::INT8),
                (&keep_ms, Type::INT8),
                (&host_ms, Type::INT8),
            ],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Pruned::default());
    };
    let unreadable = |error| readers.unreadable(&error);
    Ok(Pruned {
        events: unsigned(row.try_get(0).map_err(unreadable)?),
        more: row.try_get(1).map_err(unreadable)?,
    })
}

/// Returns the time of the host's clock in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
