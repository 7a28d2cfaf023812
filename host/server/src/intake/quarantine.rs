//! What operators do with a reject in the quarantine.

use std::time::Instant;

use batchtask_guest::journal::{Source, error_text};
use batchtask_guest::outcomes::{Outcome, Success};
use batchtask_guest::receiver::{Decision, Entry as Stored};
use batchtask_journal::Error;

use super::{Intake, Trace, outcome};
use crate::component::Message;

/// Why an operation on a reject failed.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// There is no reject with this number.
    #[error("no reject {0} is in the quarantine")]
    Unknown(u64),
    /// The body is still not a notification. The reject stays in the quarantine.
    #[error("the body is still not a batch-task notification: {0}")]
    StillRefused(String),
    /// The event could not be stored. The reject stays in the quarantine.
    #[error("the event was not stored ({0}): try again later")]
    NotStored(String),
    /// The journal failed or does not support the operation.
    #[error("{}", error_text(.0.clone()))]
    Journal(Error),
}

impl Intake {
    /// Gives the body of a reject to the component again, as if it had been pushed
    /// now: another version or another setting may understand it. If it is a
    /// notification, stores it and then removes the reject. Returns whether the event
    /// is new.
    ///
    /// # Errors
    /// See [`QuarantineError`].
    pub async fn replay_reject(&self, seq: u64) -> Result<Success, QuarantineError> {
        let deadline = Instant::now() + self.limits.request_time();
        let found = self.journal.journal().find_reject(seq).await;
        let found = found.map_err(QuarantineError::Journal)?;
        let body = found.ok_or(QuarantineError::Unknown(seq))?.reject.body;
        let message = Message {
            source: Source::Push,
            body,
        };
        let write = match self.component.decide_message(message, deadline).await {
            Ok(Decision::Write(write)) => write,
            Ok(Decision::Respond(response)) => {
                let outcome = response.report.outcome;
                return Err(QuarantineError::StillRefused(format!("`{outcome}`")));
            }
            Err(failure) => {
                let outcome = self.failed(&failure).report.outcome;
                return Err(QuarantineError::NotStored(outcome));
            }
        };
        if let Stored::Reject(reject) = &write.entry {
            return Err(QuarantineError::StillRefused(reject.detail.clone()));
        }
        let response = self.commit(write, deadline, &Trace::none()).await;
        let Some(Outcome::Success(success)) = outcome(&response) else {
            return Err(QuarantineError::NotStored(response.report.outcome));
        };
        tracing::info!(seq, outcome = success.label(), "a reject was replayed");
        // If this fails, a repetition finds the event, and only removes the reject.
        let removed = self.journal.journal().drop_reject(seq).await;
        removed.map_err(QuarantineError::Journal)?;
        Ok(success)
    }

    /// Removes a reject from the quarantine.
    ///
    /// # Errors
    /// See [`QuarantineError`].
    pub async fn drop_reject(&self, seq: u64) -> Result<(), QuarantineError> {
        let removed = self.journal.journal().drop_reject(seq).await;
        if removed.map_err(QuarantineError::Journal)? {
            tracing::info!(seq, "a reject was dropped");
            return Ok(());
        }
        Err(QuarantineError::Unknown(seq))
    }
}
