//! What a service manager is told (`NOTIFY_SOCKET`). Without one, nothing.

use sd_notify::NotifyState;

/// Requests are being served.
pub(super) fn ready(at: &str) {
    let status = format!("listening on {at}");
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Configuration is being read again; [`ready`] says when that is done.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager was not told of a reload"),
    }
}

/// The program ends.
pub(super) fn stopping() {
    let status = NotifyState::Status("finishing the requests under way");
    notify(&[NotifyState::Stopping, status]);
}

/// Another process is the service from now on.
pub(super) fn succeeded_by(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
