//! The duties that only one host should have.

use std::time::Duration;

use batchtask_journal::Error;
use tokio_postgres::types::Type;

use crate::readers::Readers;
use crate::sinks::milliseconds;

/// Gives a duty to a holder, if it is free, or if the holder has it already. A row
/// is needed, because a lock of a session would be lost behind a connection pooler.
const CLAIM: &str = "INSERT INTO batchtask.claims AS c (duty, holder, until) \
     VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 ms') \
     ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, until = excluded.until \
     WHERE c.holder = excluded.holder OR c.until <= clock_timestamp() \
     RETURNING true";

/// Returns whether `holder` has the duty now, for this time.
pub(crate) async fn claim(
    readers: &Readers,
    duty: &str,
    holder: &str,
    time: Duration,
) -> Result<bool, Error> {
    let time_ms = milliseconds(time);
    let rows = readers
        .read(
            CLAIM,
            &[
                (&duty, Type::TEXT),
                (&holder, Type::TEXT),
                (&time_ms, Type::INT8),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}
