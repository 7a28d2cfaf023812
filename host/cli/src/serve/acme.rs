//! The certificate of a receiver that a CA issues: the server answers its challenges, and
//! hosts share it through a journal in PostgreSQL.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_acme::{Challenge, Manager, Metrics, Options, Responder, Shared, State};
use batchtask_host::admin::ReadyCheck;
use batchtask_host::notices::Notices;
use batchtask_host::services::Services;
use batchtask_host::telemetry::Registry;
use batchtask_host::tls::{ChallengeCertificate, Tls};
use batchtask_journal::outbox::{Acquired, Hold, Outbox, SinkChange};
use batchtask_journal::{Error, GroupCommit};
use batchtask_notification::hex;
use tokio::sync::watch;

/// The name of the notice on the page.
const NOTICE: &str = "certificate";

/// The name under which the journal keeps what hosts share. No sink can have it.
const SHARED: &str = ":acme";

/// Passes challenges to the server.
struct ServerResponder(Arc<Tls>);

impl Responder for ServerResponder {
    fn answer(&self, challenges: Vec<Challenge>) {
        let certificates = challenges
            .into_iter()
            .map(|challenge| ChallengeCertificate {
                name: challenge.name,
                certificate: challenge.certificate,
                key: challenge.key,
            });
        if let Err(error) = self.0.answer_challenges(certificates.collect()) {
            tracing::error!(%error, "the challenges of the CA cannot be answered");
        }
    }
}

/// A record in the outbox of a journal, which has one owner at a time.
struct JournalRecord {
    journal: Arc<GroupCommit>,
    /// Identifies this receiver to the others of a shared journal.
    holder: String,
    /// The fencing number, while this host is the owner.
    fence: Mutex<Option<u64>>,
}

impl JournalRecord {
    /// # Errors
    /// There are no random bytes.
    fn new(journal: Arc<GroupCommit>) -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        Ok(Self {
            journal,
            holder: hex(&bytes),
            fence: Mutex::default(),
        })
    }

    fn outbox(&self) -> Result<&dyn Outbox, String> {
        let outbox = self.journal.journal().outbox();
        outbox.ok_or_else(|| "this journal does not store it".to_owned())
    }

    fn fence(&self) -> MutexGuard<'_, Option<u64>> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

#[async_trait]
impl Shared for JournalRecord {
    async fn acquire(&self, time: Duration) -> Result<bool, String> {
        let acquired = self.outbox()?.acquire(SHARED, &self.holder, time, 0).await;
        let fence = match acquired.map_err(text)? {
            Acquired::Owned(fence) => Some(fence),
            Acquired::HeldBy(_) => None,
        };
        *self.fence() = fence;
        Ok(fence.is_some())
    }

    async fn release(&self) -> Result<(), String> {
        let fence = self.fence().take();
        if let Some(fence) = fence {
            let released = self.outbox()?.release(SHARED, fence).await;
            released.map_err(text)?;
        }
        Ok(())
    }

    async fn load(&self) -> Result<String, String> {
        let state = self.outbox()?.load(SHARED).await.map_err(text)?;
        Ok(state.map_or_else(String::new, |state| state.memo))
    }

    async fn save(&self, record: &str) -> Result<bool, String> {
        let fence = *self.fence();
        let Some(fence) = fence else {
            return Ok(false);
        };
        let change = SinkChange {
            memo: Some(record.to_owned()),
            ..SinkChange::default()
        };
        let saved = self.outbox()?.save(SHARED, fence, &change).await;
        Ok(saved.map_err(text)? == Hold::Kept)
    }
}

/// Creates the manager, and registers its metrics.
pub(super) fn manager(
    options: Options,
    tls: Arc<Tls>,
    journal: &Arc<GroupCommit>,
    registry: &Registry,
) -> anyhow::Result<Arc<Manager>> {
    let metrics = registry.register(Metrics::new()?)?;
    let shared: Option<Arc<dyn Shared>> = if journal.journal().is_shared() {
        Some(Arc::new(JournalRecord::new(journal.clone())?))
    } else {
        None
    };
    let responder = Arc::new(ServerResponder(tls));
    let manager = Manager::new(options, responder, metrics, shared)?;
    Ok(Arc::new(manager))
}

/// Starts to obtain and renew the certificate, and to show what is wrong as a notice.
pub(super) fn start(services: &mut Services, manager: &Arc<Manager>, notices: &Notices) {
    let (manager, notices) = (manager.clone(), notices.clone());
    services.start("acme", move |stop| {
        let (manager, notices) = (manager.clone(), notices.clone());
        async move {
            tokio::select! {
                () = manager.run(stop) => {}
                () = show(manager.state(), &notices) => {}
            }
            notices.clear(NOTICE);
        }
    });
}

async fn show(mut state: watch::Receiver<State>, notices: &Notices) {
    loop {
        let problem = state.borrow_and_update().problem.clone();
        match problem {
            Some(problem) => notices.set(NOTICE, format!("certificate: {problem}")),
            None => notices.clear(NOTICE),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// A check for `/readyz`: without a certificate no push can arrive.
pub(super) fn ready_check(manager: &Manager) -> ReadyCheck {
    let state = manager.state();
    Box::new(move || {
        let state = state.borrow();
        if state.has_certificate {
            return Ok(());
        }
        let problem = state.problem.as_deref().unwrap_or("not ordered yet");
        Err(format!("there is no TLS certificate: {problem}"))
    })
}
