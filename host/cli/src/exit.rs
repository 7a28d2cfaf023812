//! What the exit code of a command tells, beside 0 and clap's 2.

use std::io;
use std::process::ExitCode;

use super::answer::ClientError;
use super::send::SendError;

/// It could not be done: refused, most often.
const FAILED: u8 = 1;

/// The receiver could not be reached, or did not answer.
const UNREACHABLE: u8 = 3;

/// Says what is wrong, and what the program ends with.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    // `… | head` has what it wanted.
    if let Some(error) = error.downcast_ref::<io::Error>()
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    eprintln!("batchtask: {error:#}");
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    let unanswered = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => ClientError::is_unanswered(error),
        (_, Some(error)) => matches!(error, SendError::Unanswered { .. }),
        _ => false,
    };
    if unanswered { UNREACHABLE } else { FAILED }
}
