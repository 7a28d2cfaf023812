//! What arrived, by minute and by hour.

use batchtask_journal::activity::ActivityRange;
use batchtask_journal::stored::{saturated, unsigned};
use batchtask_journal::{Activity, Error};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::readers::Readers;

const LIST: &str = "SELECT start_ms, notifications, failures FROM batchtask.activity \
     WHERE span_ms = $1 AND start_ms >= $2 AND start_ms < $3 ORDER BY start_ms";

/// Returns what arrived in a range.
pub(crate) async fn list(readers: &Readers, range: ActivityRange) -> Result<Vec<Activity>, Error> {
    let [kept_ms, since_ms, until_ms] =
        [range.kept_ms, range.since_ms, range.until_ms].map(saturated);
    let rows = readers
        .read(
            LIST,
            &[
                (&kept_ms, Type::INT8),
                (&since_ms, Type::INT8),
                (&until_ms, Type::INT8),
            ],
        )
        .await?;
    let kept: Result<Vec<_>, _> = rows.iter().map(from_row).collect();
    let kept = kept.map_err(|error| readers.unreadable(&error))?;
    Ok(range.sum(kept))
}

fn from_row(row: &Row) -> Result<Activity, tokio_postgres::Error> {
    Ok(Activity {
        start_ms: unsigned(row.try_get(0)?),
        notifications: unsigned(row.try_get(1)?),
        failures: unsigned(row.try_get(2)?),
    })
}
