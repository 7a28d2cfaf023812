//! Handles signals. No signal that can be caught ends the program during a commit.

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Finish the requests in progress, and end. The second time, end at once.
    Stop,
    /// End without waiting for requests.
    StopAtOnce,
    /// Reload the certificates.
    Reload,
    /// Start a successor, and hand over to it.
    Replace,
}

/// A signal whose default action would end the program, its name, and what it
/// requests. A signal with `None` is logged and ignored.
type Entry = (Signal, &'static str, Option<Request>);

/// The signals that operators, supervisors and resource limits send.
const SIGNALS: &[Entry] = &[
    (Signal::TERM, "SIGTERM", Some(Request::Stop)),
    (Signal::INT, "SIGINT", Some(Request::Stop)),
    (Signal::QUIT, "SIGQUIT", Some(Request::StopAtOnce)),
    (Signal::HUP, "SIGHUP", Some(Request::Reload)),
    (Signal::USR2, "SIGUSR2", Some(Request::Replace)),
    (Signal::USR1, "SIGUSR1", None),
    (Signal::ALARM, "SIGALRM", None),
    (Signal::VTALARM, "SIGVTALRM", None),
    (Signal::PROF, "SIGPROF", None),
    // The write fails, and its push is answered 503.
    (Signal::XFSZ, "SIGXFSZ", None),
    (Signal::XCPU, "SIGXCPU", None),
    (Signal::PIPE, "SIGPIPE", None),
    (Signal::IO, "SIGIO", None),
    #[cfg(target_os = "linux")]
    (Signal::POWER, "SIGPWR", Some(Request::Stop)),
    #[cfg(target_os = "linux")]
    (Signal::STKFLT, "SIGSTKFLT", None),
];

/// The realtime signals of Linux that the C library leaves to programs. musl needs one more.
#[cfg(target_os = "linux")]
const REALTIME: std::ops::RangeInclusive<i32> = FIRST_REALTIME..=64;
#[cfg(target_os = "linux")]
const FIRST_REALTIME: i32 = if cfg!(target_env = "musl") { 35 } else { 34 };

/// The queue of requests by signals.
pub(super) struct Signals(mpsc::UnboundedReceiver<Request>);

impl Signals {
    /// Starts to catch signals. Call it before anything else, so that no signal has
    /// its default effect.
    ///
    /// # Errors
    /// A signal cannot be caught.
    pub(super) fn catch() -> std::io::Result<Self> {
        let (sender, requests) = mpsc::unbounded_channel();
        for (number, name, request) in SIGNALS {
            catch(number.as_raw(), (*name).to_owned(), *request, &sender)?;
        }
        #[cfg(target_os = "linux")]
        for number in REALTIME {
            catch(number, format!("realtime signal {number}"), None, &sender)?;
        }
        Ok(Self(requests))
    }

    /// Waits for the next request.
    pub(super) async fn next(&mut self) -> Request {
        match self.0.recv().await {
            Some(request) => request,
            // This does not happen, because the tasks that catch signals never end.
            None => std::future::pending().await,
        }
    }

    /// Waits for a request to end the program, and ignores other requests.
    pub(super) async fn stop(&mut self) {
        while !matches!(self.next().await, Request::Stop | Request::StopAtOnce) {}
    }
}

fn catch(
    number: i32,
    name: String,
    request: Option<Request>,
    requests: &mpsc::UnboundedSender<Request>,
) -> std::io::Result<()> {
    let mut signal = signal(SignalKind::from_raw(number))?;
    let requests = requests.clone();
    tokio::spawn(async move {
        while signal.recv().await.is_some() {
            match request {
                Some(request) => {
                    tracing::info!("{name} received");
                    // This fails when the program is about to end.
                    let _ = requests.send(request);
                }
                None => tracing::debug!("{name} ignored"),
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_signal() {
        let text = include_str!("../../../../docs/restarts.md");
        for (_, name, _) in SIGNALS {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }
}
