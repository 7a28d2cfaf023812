//! The exit codes of commands that fail.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use batchtask_platform::Error as PlatformError;

use super::answer::ClientError;
use super::config::Faults;
use super::reader::Task;
use super::send::SendError;

/// The command failed. Most often, the receiver refused a request.
const FAILED: u8 = 1;

/// The command line or the configuration is invalid. The same as clap's.
const USAGE: u8 = 2;

/// The receiver or the platform could not be reached, or did not answer.
const UNREACHABLE: u8 = 3;

/// The task that was waited for failed, at least in part, and may be retried.
const TASK_FAILED: u8 = 4;
/// It was stopped.
const TASK_STOPPED: u8 = 5;
/// It had not ended when the time was over.
const TASK_OPEN: u8 = 6;
/// The same as that of a program that SIGINT ends.
const INTERRUPTED: u8 = 130;

/// How a task that was waited for has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    #[error("the task succeeded")]
    Succeeded,
    #[error("the task failed, at least in part: `batchtask platform task retry` may help")]
    Failed,
    #[error("the task was stopped")]
    Stopped,
    #[error("the task has not ended within the time: wait longer with `--timeout`")]
    NotYet,
}

impl Ended {
    /// Returns how a task has ended, or `None` if it is open.
    pub(super) fn of(task: &Task) -> Option<Self> {
        match (task.class.as_str(), task.status.as_str()) {
            ("final", "Stopped") => Some(Self::Stopped),
            ("final", _) => Some(Self::Succeeded),
            ("retryable", _) => Some(Self::Failed),
            _ => None,
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Succeeded => 0,
            Self::Failed => TASK_FAILED,
            Self::Stopped => TASK_STOPPED,
            Self::NotYet => TASK_OPEN,
        }
    }
}

/// Ctrl-C ended a command.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// The command line is invalid in a way that its parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) &'static str);

/// Prints an error, and returns the exit code for it.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    // A reader such as `head` closed the pipe, which is not an error.
    if let Some(error) = error.downcast_ref::<io::Error>()
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    print_error(format!("batchtask: {error:#}\n"));
    ExitCode::from(code(error))
}

/// How long writing the error may take.
const PRINT_TIME: Duration = Duration::from_secs(1);

/// Writes to stderr, but waits at most [`PRINT_TIME`]. If stderr is not read, the
/// program must still end, because it holds resources that the next start needs.
fn print_error(text: String) {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        // If stderr cannot be written, there is no other place for the error.
        let _ = io::stderr().write_all(text.as_bytes());
        let _ = done.send(());
    });
    let _ = wait.recv_timeout(PRINT_TIME);
}

fn code(error: &anyhow::Error) -> u8 {
    let is_unanswered = if let Some(error) = error.downcast_ref() {
        ClientError::is_unanswered(error)
    } else if let Some(error) = error.downcast_ref() {
        matches!(
            error,
            SendError::Unanswered { .. } | SendError::NoBroker { .. }
        )
    } else {
        error.downcast_ref().is_some_and(is_unreachable)
    };
    if let Some(ended) = error.downcast_ref::<Ended>() {
        ended.code()
    } else if error.is::<Interrupted>() || is_interrupted(error) {
        INTERRUPTED
    } else if error.is::<Faults>() || error.is::<Usage>() {
        USAGE
    } else if is_unanswered {
        UNREACHABLE
    } else {
        FAILED
    }
}

fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SendError::Interrupted { .. }))
}

/// Whether the platform did not answer completely.
fn is_unreachable(error: &PlatformError) -> bool {
    matches!(
        error,
        PlatformError::UnknownHost { .. }
            | PlatformError::Unreachable { .. }
            | PlatformError::Tls { .. }
            | PlatformError::Proxy { .. }
            | PlatformError::TooSlow { .. }
            | PlatformError::Truncated { .. }
    )
}
