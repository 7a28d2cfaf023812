//! [`Complaints`]: log lines about failed calls, not too many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::metrics::result;
use super::search::Failure;

/// Failures with the same result are logged at most this often.
const SAY_EVERY: Duration = Duration::from_secs(10 * 60);

/// What was logged. Results come from a fixed set.
#[derive(Default)]
pub(super) struct Complaints {
    said_at: HashMap<&'static str, Instant>,
    /// Whether the last line was about a failure.
    is_open: bool,
}

impl Complaints {
    /// Logs a failure, unless one with the same result was logged lately.
    pub(super) fn failed(&mut self, failure: Failure) {
        let result = result(&failure);
        let now = Instant::now();
        let said_at = self.said_at.get(result);
        if said_at.is_some_and(|at| now.duration_since(*at) < SAY_EVERY) {
            return;
        }
        self.said_at.insert(result, now);
        self.is_open = true;
        let error = anyhow::Error::from(failure);
        tracing::warn!("lost changes cannot be searched for now: {error:#}. The search goes on");
    }

    /// Logs that a call succeeded, if the last line was about a failure.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.is_open) {
            tracing::info!("the platform answers again");
        }
    }
}
