//! What the exit code of a command tells, beside 0 and clap's 2.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
    say(format!("batchtask: {error:#}\n"));
    ExitCode::from(code(error))
}

/// How long the last words may take to be written.
const SAY_TIME: Duration = Duration::from_secs(1);

/// Writes to stderr, but does not wait for long: nobody may read it, and the
/// program holds what a next start needs.
fn say(text: String) {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        // There is nowhere else to complain.
        let _ = io::stderr().write_all(text.as_bytes());
        let _ = done.send(());
    });
    let _ = wait.recv_timeout(SAY_TIME);
}

fn code(error: &anyhow::Error) -> u8 {
    let unanswered = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => ClientError::is_unanswered(error),
        (_, Some(error)) => matches!(error, SendError::Unanswered { .. }),
        _ => false,
    };
    if unanswered { UNREACHABLE } else { FAILED }
}
