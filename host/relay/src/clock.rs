//! [`Clock`]: the host's time at the start, from then on without its jumps.

use std::time::{Duration, Instant, SystemTime};

use crate::backoff::milliseconds;

/// A clock in milliseconds since 1970 that only goes forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started_ms: u64,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            started_ms: milliseconds(since),
            started: Instant::now(),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.started_ms + milliseconds(self.started.elapsed())
    }

    /// Returns the instant of a time.
    pub(crate) fn instant(&self, at_ms: u64) -> Instant {
        let since = Duration::from_millis(at_ms.saturating_sub(self.started_ms));
        self.started + since
    }
}
