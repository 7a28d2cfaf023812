//! A running receiver, until it stops or a successor replaces it.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use batchtask_acme::Manager;
use batchtask_host::Intake;
use batchtask_host::http::Server;
use batchtask_host::services::Services;
use batchtask_journal::GroupCommit;
use batchtask_relay::Relay;
use batchtask_traces::Export;

use super::amqp::ReceiverClient;
use super::handover::{Door, Successor};
use super::signals::{Request, Signals};
use super::{Common, Configured, manager, reload, replacement};

/// How long a successor waits for requests in progress, after idle connections have
/// been closed. Then the journal is closed, and these requests are answered 503.
const REQUESTS_TIME: Duration = Duration::from_secs(1);

/// How long the export of the last traces may take. It begins when the journal is closed, so
/// that nothing waits for it but the end of the process.
const TRACES_TIME: Duration = Duration::from_secs(2);

/// The error after an end that did not wait for requests.
const CUT: &str = "stopped without waiting for the requests in progress";

/// A running receiver.
pub(super) struct Running {
    pub(super) services: Services,
    pub(super) intake: Arc<Intake>,
    pub(super) server: Arc<Server>,
    /// The AMQP channel, if there is one.
    pub(super) amqp: Option<Arc<ReceiverClient>>,
    /// Obtains the certificate, if a CA issues it.
    pub(super) acme: Option<Arc<Manager>>,
    pub(super) journal: Arc<GroupCommit>,
    pub(super) relay: Arc<Relay>,
    /// The export of traces, if they are on.
    pub(super) traces: Option<Export>,
    /// The hand-over socket, or `None` if it could not be opened.
    pub(super) door: Option<Door>,
}

/// Why a receiver ends.
pub(super) enum End {
    /// A signal requested it.
    Stop,
    /// A signal requested it, without waiting for requests.
    StopAtOnce,
    /// A successor replaces it.
    Successor(Successor),
}

impl Running {
    /// Serves until there is a reason to end. Reloads the configuration meanwhile.
    pub(super) async fn until_end(
        &self,
        signals: &mut Signals,
        common: &Common,
        configured: &mut Configured,
    ) -> End {
        let mut successor = pin!(async {
            match &self.door {
                Some(door) => door.successor(&common.sockets.named()).await,
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
                Request::Reload => reload::reload(self, common, configured).await,
                Request::Replace if self.door.is_some() => replacement::start(),
                Request::Replace => tracing::warn!(
                    "cannot start a successor, because this process cannot hand over the journal: \
                     see the warning at its start"
                ),
            }
        }
    }

    /// Finishes the requests in progress, and closes the journal. After another
    /// signal, does not wait for requests any longer.
    ///
    /// # Errors
    /// A signal came before all requests were finished.
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
        finish(self.traces).await;
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
        finish(self.traces).await;
        bail!(CUT);
    }

    /// Finishes the requests in progress, closes the journal, and waits until the
    /// successor serves. Returns whether this process must end: because the
    /// successor serves, or a signal requests it.
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
            tracing::info!("handed over to the successor");
        } else {
            tracing::error!("the successor ended before it served; this process continues");
        }
        if !is_stopped {
            stopping.await;
        }
        let finishing = tokio::spawn(finish(self.traces));
        if is_done {
            // It cannot fail, because nothing in it panics.
            let _ = finishing.await;
        }
        is_done
    }
}

/// Exports the last traces.
async fn finish(traces: Option<Export>) {
    if let Some(traces) = traces {
        traces.finish(TRACES_TIME).await;
    }
}

/// Closes a journal. Closes the hand-over socket first, because a successor opens its
/// own at the same path.
fn close(journal: Arc<GroupCommit>, door: Option<Door>) {
    drop(door);
    journal.close();
}
