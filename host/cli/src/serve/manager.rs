//! Notifies the service manager, if there is one (`NOTIFY_SOCKET`).

use sd_notify::NotifyState;

/// Reports that requests are being served on `at`.
pub(super) fn ready(at: &str) {
    let status = format!("listening on {at}");
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Reports that the configuration is being reloaded. Call [`ready`] afterwards.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "cannot notify the service manager of a reload"),
    }
}

/// Reports that the program is ending.
pub(super) fn stopping() {
    let status = NotifyState::Status("finishing the requests in progress");
    notify(&[NotifyState::Stopping, status]);
}

/// Reports that another process is now the main process of the service.
pub(super) fn succeeded_by(pid: u32) {
    notify(&[NotifyState::MainPid(pid)]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "cannot notify the service manager");
    }
}
