//! What programs ask of the quarantine.

use batchtask_guest::outcomes::{Problem, Refusal};
use batchtask_host::Intake;
use batchtask_host::intake::QuarantineError;
use batchtask_host::journal::Error;
use serde_json::{Value, json};

use super::{Answered, POST, expect_method};

/// Answers a request for a path below `/quarantine/`.
pub(super) async fn result(intake: &Intake, method: &str, path: &str) -> Answered<Value> {
    let (seq, action) = match path.split_once('/') {
        Some((seq, action)) => (seq, Some(action)),
        None => (path, None),
    };
    let seq: u64 = seq.parse().map_err(|_| unknown_path())?;
    match action {
        None => {
            expect_method(method, "DELETE")?;
            let dropped = intake.drop_reject(seq).await;
            dropped.map_err(problem)?;
            Ok(json!({ "seq": seq, "dropped": true }))
        }
        Some("replay") => {
            expect_method(method, POST)?;
            let replayed = intake.replay_reject(seq).await.map_err(problem)?;
            Ok(json!({ "seq": seq, "outcome": replayed.label() }))
        }
        Some(_) => Err(unknown_path()),
    }
}

fn unknown_path() -> Box<Problem> {
    let detail = "use DELETE /quarantine/SEQ or POST /quarantine/SEQ/replay";
    Problem::new(Refusal::NotFound, detail).into()
}

fn problem(error: QuarantineError) -> Box<Problem> {
    let refusal = match &error {
        QuarantineError::Unknown(_) => Refusal::NotFound,
        QuarantineError::StillRefused(_) => Refusal::NotANotification,
        QuarantineError::Journal(Error::Unsupported(_) | Error::InvalidCursor(_)) => {
            Refusal::Unsupported
        }
        QuarantineError::NotStored(_) | QuarantineError::Journal(_) => Refusal::Unavailable,
    };
    Problem::new(refusal, error.to_string()).into()
}
