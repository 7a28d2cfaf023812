//! A receiver at work, until it stops or another process takes its place.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use batchtask_host::http::Server;
use batchtask_host::services::Services;
use batchtask_host::tls::Tls;
use batchtask_journal::GroupCommit;

use super::handover::{Door, Successor};
use super::manager;
use super::replacement;
use super::signals::{Request, Signals};
use super::sockets::Sockets;

/// How much longer than idle connections the requests under way may keep a
/// successor waiting. Afterwards the journal is closed, and they are answered
/// 503.
const REQUESTS_TIME: Duration = Duration::from_secs(1);

/// What is said about an end that waited for nothing.
const CUT: &str = "stopped without waiting for the requests under way";

/// A receiver at work.
pub(super) struct Running {
    pub(super) services: Services,
    pub(super) server: Arc<Server>,
    pub(super) journal: Arc<GroupCommit>,
    /// Where a successor asks. `None` if it cannot.
    pub(super) door: Option<Door>,
}

/// Why a receiver ends.
pub(super) enum End {
    /// A signal asked for it.
    Stop,
    /// A signal asked for it, without waiting for requests.
    StopAtOnce,
    /// Another process takes its place.
    Successor(Successor),
}

impl Running {
    /// Serves until there is a reason to end.
    pub(super) async fn until_end(
        &self,
        signals: &mut Signals,
        sockets: &Sockets,
        tls: Option<&Tls>,
    ) -> End {
        let mut successor = pin!(async {
            match &self.door {
                Some(door) => door.successor(&sockets.named()).await,
                None => pending().await,
            }
        });
        loop {
            let request = tokio::select! {
                request = signals.next() => request,
                successor = &mut successor => return End::Successor(successor),
            };
            match request {
                Request::Stop => return End::Stop,
                Request::StopAtOnce => return End::StopAtOnce,
                Request::Reload => reload(tls, sockets),
                Request::Replace if self.door.is_some() => replacement::start(),
                Request::Replace => tracing::warn!("a successor could not ask for the journal"),
            }
        }
    }

    /// Finishes what is under way, and closes the journal. Another signal cuts
    /// that short.
    ///
    /// # Errors
    /// It was cut short.
    pub(super) async fn stop(self, signals: &mut Signals) -> anyhow::Result<()> {
        manager::stopping();
        let mut stopping = pin!(self.services.stop());
        let is_cut = tokio::select! {
            () = &mut stopping => false,
            () = signals.stop() => true,
        };
        if is_cut {
            self.server.cut_drain();
            stopping.await;
        }
        close(self.journal, self.door);
        if is_cut {
            bail!(CUT);
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Closes the journal without waiting for requests.
    ///
    /// # Errors
    /// Always: requests may have been cut off.
    pub(super) async fn stop_at_once(self) -> anyhow::Result<()> {
        manager::stopping();
        self.server.cut_drain();
        self.services.stop().await;
        close(self.journal, self.door);
        bail!(CUT);
    }

    /// Finishes what is under way, closes the journal, and waits until the
    /// successor serves. Returns whether this process is done: not if the
    /// successor ended, unless a signal asks this process to end meanwhile.
    pub(super) async fn hand_over(
        self,
        mut successor: Successor,
        idle_time: Duration,
        signals: &mut Signals,
    ) -> bool {
        tracing::info!("a successor takes over");
        let mut stopping = pin!(self.services.stop());
        let is_stopped = tokio::select! {
            () = &mut stopping => true,
            () = tokio::time::sleep(idle_time + REQUESTS_TIME) => false,
            () = signals.stop() => false,
        };
        close(self.journal, self.door);
        let is_done = tokio::select! {
            serves = successor.take_over() => serves,
            () = signals.stop() => true,
        };
        if is_done {
            successor.pid.into_iter().for_each(manager::succeeded_by);
            tracing::info!("handed over");
        } else {
            tracing::error!("the successor ended before it served: going on without it");
        }
        if !is_stopped {
            stopping.await;
        }
        is_done
    }
}

/// Closes a journal. Before that its door, because a successor opens its own at
/// the same path.
fn close(journal: Arc<GroupCommit>, door: Option<Door>) {
    drop(door);
    journal.close();
}

/// Reads the certificates again.
fn reload(tls: Option<&Tls>, sockets: &Sockets) {
    manager::reloading();
    match tls.map(Tls::reload) {
        None => tracing::info!("there is nothing to reload: no certificates are in use"),
        Some(Ok(())) => tracing::info!("the TLS certificate was read again"),
        Some(Err(error)) => tracing::warn!(%error, "the TLS certificate was not replaced"),
    }
    manager::ready(&sockets.http.url(tls.is_some()));
}
