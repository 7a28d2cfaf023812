//! The host's clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the current time, in milliseconds since 1970 (UTC).
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
