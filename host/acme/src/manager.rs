//! [`Manager`]: keeps a certificate valid, as long as it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::attempt::{ATTEMPT_TIME, Attempt, CLEANUP_TIME_ALL};
use crate::certificate::Certificate;
use crate::challenge::{Challenge, Responder};
use crate::error::{Error, OptionError};
use crate::hook::Hook;
use crate::http::Http;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::schedule::{Memory, Next, Schedule};
use crate::store::{Record, Shared, Store};

/// How often the store is read while nothing is due, if it is a folder, or shared.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY_SHARED: Duration = Duration::from_secs(5);

/// The pause after the store could not be read or written, or while another process orders.
const STORE_PAUSE: Duration = Duration::from_secs(30);

/// For how long a host has the right to order. It is not renewed.
const LEAD_TIME: Duration = ATTEMPT_TIME
    .saturating_add(CLEANUP_TIME_ALL)
    .saturating_add(Duration::from_secs(60));

/// What operators should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether there is a certificate, even if it has expired.
    pub has_certificate: bool,
    /// What is wrong, or `None`.
    pub problem: Option<String>,
}

/// Orders and renews one certificate.
pub struct Manager {
    options: Options,
    http: Http,
    hook: Option<Hook>,
    store: Store,
    responder: Arc<dyn Responder>,
    metrics: Metrics,
    is_hurried: AtomicBool,
    wake: Notify,
    state: watch::Sender<State>,
}

impl Manager {
    /// Creates a manager, which does nothing until it [runs](Self::run). `shared` is used if
    /// the options have a secret for it.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn new(
        options: Options,
        responder: Arc<dyn Responder>,
        metrics: Metrics,
        shared: Option<Arc<dyn Shared>>,
    ) -> Result<Self, OptionError> {
        let store = Store::new(&options, shared);
        Ok(Self {
            http: Http::new(&options)?,
            hook: options.dns_hook.as_deref().map(Hook::new),
            store: store.map_err(|error| OptionError::new("share_secret", error.to_string()))?,
            options,
            responder,
            metrics,
            is_hurried: AtomicBool::new(false),
            wake: Notify::new(),
            state: watch::Sender::default(),
        })
    }

    /// Returns a channel with what operators should know.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Looks at the store now, and makes the next attempt as soon as the limits of the CA
    /// allow it.
    pub fn hurry(&self) {
        self.is_hurried.store(true, Relaxed);
        self.wake.notify_one();
    }

    /// Keeps the certificate valid until it is stopped. If an order is in progress then, the
    /// traces of its challenges are removed.
    pub async fn run(&self, stop: CancellationToken) {
        let mut work = Work {
            manager: self,
            stop: &stop,
            schedule: Schedule::new(Memory::default(), Rng::new()),
            loaded: Record::default(),
            certificate: None,
            unsaved: None,
            trouble: None,
        };
        while !stop.is_cancelled() {
            let pause = work.step().await;
            work.report();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        self.responder.answer(Vec::new());
    }
}

/// The progress of a manager.
struct Work<'a> {
    manager: &'a Manager,
    stop: &'a CancellationToken,
    schedule: Schedule,
    /// What was last loaded or saved.
    loaded: Record,
    certificate: Option<Certificate>,
    /// A record with a new certificate that could not be saved yet.
    unsaved: Option<Record>,
    /// What is wrong with the store.
    trouble: Option<String>,
}

impl Work<'_> {
    /// Does what is due. Returns how long to wait.
    async fn step(&mut self) -> Duration {
        match self.try_step().await {
            Ok(pause) => {
                self.trouble = None;
                pause
            }
            Err(error) => {
                let text = error.to_string();
                if self.trouble.as_ref() != Some(&text) {
                    tracing::error!("{text}");
                }
                self.trouble = Some(text);
                STORE_PAUSE
            }
        }
    }

    /// # Errors
    /// The store cannot be read or written.
    async fn try_step(&mut self) -> Result<Duration, Error> {
        self.save_certificate().await?;
        self.load().await?;
        if self.manager.is_hurried.swap(false, Relaxed) {
            self.schedule.hurry(now_ms());
        }
        let look_every = if self.manager.store.is_shared() {
            LOOK_EVERY_SHARED
        } else {
            LOOK_EVERY
        };
        let now_ms = now_ms();
        match self.schedule.next(now_ms) {
            Next::Order => self.order().await,
            Next::AskWindow => self.ask().await.map(|()| Duration::ZERO),
            Next::Wait { until_ms } => {
                let wait = Duration::from_millis(until_ms.saturating_sub(now_ms));
                Ok(wait.min(look_every))
            }
        }
    }

    /// Reads the store: another process or host may have changed it.
    async fn load(&mut self) -> Result<(), Error> {
        let record = self.manager.store.load().await?;
        // Otherwise a memory that could not be saved would be forgotten.
        if record.memory != self.loaded.memory {
            self.schedule.remember(record.memory.clone());
        }
        if record.certificate != self.loaded.certificate || self.certificate.is_none() {
            self.certificate = record.certificate.as_deref().and_then(parsed);
        }
        if self.manager.store.is_shared() && record.challenges != self.loaded.challenges {
            self.manager
                .responder
                .answer(challenges(&record.challenges));
        }
        self.loaded = record;
        self.look_at_certificate();
        Ok(())
    }

    fn look_at_certificate(&mut self) {
        let options = &self.manager.options;
        let is_of_ca = self.is_of_ca();
        let validity = self.certificate.as_ref();
        let validity = validity.map(|it| it.validity(it.covers(&options.domains) && is_of_ca));
        self.schedule.found(validity);
    }

    /// Whether the certificate comes from the wanted CA, as far as it is known.
    fn is_of_ca(&self) -> bool {
        let directory = &self.loaded.directory;
        directory.is_empty() || *directory == self.manager.options.directory
    }

    /// Stores what the schedule remembers, and what else changed.
    async fn save(&mut self, mut record: Record) -> Result<(), Error> {
        record.memory = self.schedule.memory().clone();
        self.manager.store.save(&self.loaded, &record).await?;
        self.loaded = record;
        Ok(())
    }

    /// Tries again to save a new certificate. Until then no other one is ordered.
    async fn save_certificate(&mut self) -> Result<(), Error> {
        let Some(record) = self.unsaved.clone() else {
            return Ok(());
        };
        let store = &self.manager.store;
        let Some(lead) = store.lead(LEAD_TIME).await? else {
            return Err(Error::Shared("another host orders now".into()));
        };
        let saved = self.save(record).await;
        store.end(lead).await;
        saved?;
        self.unsaved = None;
        tracing::info!("the new certificate was stored");
        Ok(())
    }

    /// Orders a certificate, unless another process or host does. Returns how long to wait.
    async fn order(&mut self) -> Result<Duration, Error> {
        let store = &self.manager.store;
        let Some(lead) = store.lead(LEAD_TIME).await? else {
            return Ok(LOOK_EVERY_SHARED);
        };
        let ordered = self.order_alone().await;
        store.end(lead).await;
        ordered.map(|()| Duration::ZERO)
    }

    async fn order_alone(&mut self) -> Result<(), Error> {
        // Another one may have ordered just before.
        self.load().await?;
        if self.schedule.next(now_ms()) != Next::Order {
            return Ok(());
        }
        // An attempt is remembered before it is made. This also shows whether there is
        // room for the certificate.
        self.schedule.begin(now_ms());
        if let Err(error) = self.save(self.loaded.clone()).await {
            self.schedule.cancelled(now_ms());
            return Err(error);
        }
        tracing::info!("ordering a certificate for {}", self.names());
        let mut record = self.loaded.clone();
        let manager = self.manager;
        let is_of_ca = self.is_of_ca();
        let mut attempt = Attempt {
            options: &manager.options,
            http: &manager.http,
            hook: manager.hook.as_ref(),
            responder: &*manager.responder,
            store: &manager.store,
            stop: self.stop,
            record: &mut record,
            replaced: self.certificate.as_ref().filter(|_| is_of_ca),
        };
        let result = attempt.run().await;
        // The attempt has stored a new account.
        self.loaded.account.clone_from(&record.account);
        self.end(record, result).await
    }

    async fn end(
        &mut self,
        mut record: Record,
        result: Result<Certificate, Error>,
    ) -> Result<(), Error> {
        match result {
            Ok(certificate) => {
                self.manager.metrics.count(true);
                record.certificate = Some(certificate.pem().to_owned());
                record.directory.clone_from(&self.manager.options.directory);
                self.schedule.issued(now_ms(), certificate.validity(true));
                tracing::info!("the CA issued a certificate for {}", self.names());
                self.certificate = Some(certificate);
                let saved = self.save(record.clone()).await;
                if saved.is_err() {
                    self.unsaved = Some(record);
                }
                saved
            }
            Err(Error::Stopped) => {
                self.schedule.cancelled(now_ms());
                self.save(record).await
            }
            Err(error) => {
                self.manager.metrics.count(false);
                let text = error.to_string();
                tracing::warn!("no certificate for {}: {text}", self.names());
                self.schedule.failed(now_ms(), text, error.retry_after());
                self.save(record).await
            }
        }
    }

    /// Asks the CA when to renew the certificate. A failure changes nothing.
    async fn ask(&mut self) -> Result<(), Error> {
        let Some(certificate) = &self.certificate else {
            return Ok(());
        };
        let asked = async {
            let http = &self.manager.http;
            let directory = http.directory(&self.manager.options.directory).await?;
            http.renewal_window(&directory, certificate).await
        };
        let asked = tokio::select! {
            asked = asked => asked,
            () = self.stop.cancelled() => return Ok(()),
        };
        let (range_ms, ask_after) = asked.unwrap_or_else(|error| {
            tracing::debug!(%error, "the CA does not say when to renew the certificate");
            (None, None)
        });
        let id = certificate.id().to_owned();
        self.schedule.suggested(now_ms(), &id, range_ms, ask_after);
        // Only a hint is lost if it cannot be saved. In a shared record only the host that
        // orders may write, so each host asks by itself.
        if !self.manager.store.is_shared() {
            self.save(self.loaded.clone()).await?;
        }
        Ok(())
    }

    fn names(&self) -> String {
        let domains = self.manager.options.domains.iter();
        let names: Vec<String> = domains.map(|domain| format!("`{domain}`")).collect();
        names.join(", ")
    }

    /// Shows the state to operators.
    fn report(&self) {
        let now_ms = now_ms();
        let memory = self.schedule.memory();
        let next_ms = self.schedule.order_at_ms(now_ms).max(now_ms);
        self.manager.metrics.show(memory.failures, next_ms);
        let state = State {
            has_certificate: self.certificate.is_some() && self.unsaved.is_none(),
            problem: self.problem(now_ms, next_ms),
        };
        self.manager.state.send_if_modified(|shown| {
            let is_new = *shown != state;
            *shown = state;
            is_new
        });
    }

    /// Why the last attempt failed.
    fn failure(&self, now_ms: u64) -> Option<&str> {
        let memory = self.schedule.memory();
        if memory.failures == 0 || memory.error.is_some() {
            return memory.error.as_deref();
        }
        // Another host may be in the middle of it.
        let since_ms = now_ms.saturating_sub(memory.attempted_ms);
        let is_over = u128::from(since_ms) > LEAD_TIME.as_millis();
        is_over.then_some("the program ended during the last attempt")
    }

    fn problem(&self, now_ms: u64, next_ms: u64) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(trouble.clone());
        }
        if let Some(error) = self.failure(now_ms) {
            let minutes = (next_ms.saturating_sub(now_ms) + 30_000) / 60_000;
            let minutes = minutes.max(1);
            return Some(format!("{error}. The next attempt is in {minutes} min"));
        }
        let (from_ms, until_ms) = self.certificate.as_ref()?.life_ms();
        // Some CAs date certificates back, none ahead.
        (now_ms < from_ms || now_ms > until_ms).then(|| {
            "the certificate is not valid now, although the CA issued it: check the clock of \
             this host"
                .to_owned()
        })
    }
}

fn parsed(pem: &str) -> Option<Certificate> {
    let failed = |error: &String| tracing::warn!(error, "the stored certificate cannot be used");
    Certificate::parse(pem).inspect_err(failed).ok()
}

/// The challenges of another host. What is malformed is left out.
fn challenges(proofs: &BTreeMap<String, String>) -> Vec<Challenge> {
    let challenge = |(name, proof): (&String, &String)| {
        let proof = STANDARD.decode(proof).ok()?;
        Challenge::new(name, &proof).ok()
    };
    proofs.iter().filter_map(challenge).collect()
}

/// This host's time, in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
