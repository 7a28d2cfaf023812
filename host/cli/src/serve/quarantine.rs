//! What operators ask of the quarantine, over the admin listener.

use batchtask_host::Intake;
use batchtask_host::intake::QuarantineError;
use batchtask_host::journal::Error;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::operations::{Problem, expect_method};

/// Answers a request for a path below `/quarantine/`.
pub(super) async fn result(intake: &Intake, head: &Parts, path: &str) -> Result<Value, Problem> {
    let (seq, action) = match path.split_once('/') {
        Some((seq, action)) => (seq, Some(action)),
        None => (path, None),
    };
    let seq: u64 = seq.parse().map_err(|_| unknown_path())?;
    match action {
        None => {
            expect_method(head, &Method::DELETE)?;
            let dropped = intake.drop_reject(seq).await;
            dropped.map_err(problem)?;
            Ok(json!({ "seq": seq, "dropped": true }))
        }
        Some("replay") => {
            expect_method(head, &Method::POST)?;
            let replayed = intake.replay_reject(seq).await.map_err(problem)?;
            Ok(json!({ "seq": seq, "outcome": replayed.label() }))
        }
        Some(_) => Err(unknown_path()),
    }
}

fn unknown_path() -> Problem {
    let detail = "use DELETE /quarantine/SEQ or POST /quarantine/SEQ/replay";
    Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
}

fn problem(error: QuarantineError) -> Problem {
    let (status, kind) = match &error {
        QuarantineError::Unknown(_) => (StatusCode::NOT_FOUND, "not-found"),
        QuarantineError::StillRefused(_) => {
            (StatusCode::UNPROCESSABLE_ENTITY, "not-a-notification")
        }
        QuarantineError::Journal(Error::Unsupported(_) | Error::InvalidCursor(_)) => {
            (StatusCode::NOT_IMPLEMENTED, "journal-unsupported")
        }
        QuarantineError::NotStored(_) | QuarantineError::Journal(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "journal-unavailable")
        }
    };
    Problem::new(status, kind, error.to_string())
}
