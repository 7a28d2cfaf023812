//! [`Client`]: stays connected to a broker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::Inbox;
use crate::credentials::Credentials;
use crate::failure::{Failure, Reason};
use crate::login::{Clock, Login};
use crate::metrics::Metrics;
use crate::options::{OptionError, Options};
use crate::pace::Backoff;

/// How many different failures are remembered as logged.
const LOGGED_MAX: usize = 32;

/// What a client is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether it receives from at least one queue.
    pub is_connected: bool,
    /// What is wrong, if something is: why it is not connected, which queues it cannot
    /// receive from, or that the clock of this host is wrong.
    pub problem: Option<String>,
}

/// Receives messages from the queues of a broker, and passes them to an inbox.
pub struct Client<I> {
    pub(crate) options: Options,
    pub(crate) inbox: Arc<I>,
    pub(crate) metrics: Metrics,
    login: Login,
    state: watch::Sender<State>,
    /// Notified when the credentials change.
    changed: Notify,
    /// The failures that were logged since the last success, so that each is logged once.
    logged: Mutex<Vec<Failure>>,
}

impl<I: Inbox> Client<I> {
    /// Creates a client. It connects when it [`run`](Self::run)s.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn new(
        options: Options,
        credentials: Credentials,
        inbox: I,
        metrics: Metrics,
    ) -> Result<Self, OptionError> {
        Ok(Self {
            login: Login::new(&options, credentials)?,
            options,
            inbox: Arc::new(inbox),
            metrics,
            state: watch::Sender::default(),
            changed: Notify::new(),
            logged: Mutex::default(),
        })
    }

    /// Uses other credentials from the next login on. If the client is not connected, it
    /// logs in now.
    pub fn use_credentials(&self, credentials: Credentials) {
        if self.login.use_credentials(credentials) {
            self.changed.notify_one();
        }
    }

    /// Returns what the client is doing, now and later.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Receives messages until `stop` is cancelled. Connects again after each failure.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.options.pace);
        let mut clock = Clock::default();
        while let Err(failure) = self.connection(&mut clock, &mut backoff, &stop).await {
            self.failed(failure);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(backoff.wait()) => {}
                () = self.changed.notified() => {}
            }
        }
        self.metrics.connected.set(0);
    }

    /// Connects, and receives until the connection fails or `stop` is cancelled.
    async fn connection(
        &self,
        clock: &mut Clock,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let known_error = clock.error();
        let Some(opened) = stop.run_until_cancelled(self.login.open(clock)).await else {
            return Ok(());
        };
        let connection = opened?;
        let clock_error = clock.error();
        if let Some(text) = clock_error.clone().filter(|_| clock_error != known_error) {
            self.report(&Failure::new(Reason::Clock, text));
        }
        let since = Instant::now();
        let consumed = self.consume(connection, clock_error, stop).await;
        backoff.worked_for(since.elapsed());
        consumed
    }

    fn failed(&self, failure: Failure) {
        self.report(&failure);
        self.metrics.connected.set(0);
        self.state.send_replace(State {
            is_connected: false,
            problem: Some(failure.text),
        });
    }

    /// Notes that messages are received now. `problem` is what is wrong nevertheless.
    pub(crate) fn connected(&self, problem: Option<String>) {
        self.metrics.connected.set(1);
        if problem.is_none() {
            self.logged().clear();
        }
        let state = State {
            is_connected: true,
            problem,
        };
        self.state.send_if_modified(|known| {
            let is_new = *known != state;
            *known = state;
            is_new
        });
    }

    /// Counts a failure, and logs it unless it was logged since the last success.
    pub(crate) fn report(&self, failure: &Failure) {
        self.metrics.failed(failure.reason);
        let mut logged = self.logged();
        if logged.contains(failure) {
            tracing::debug!(reason = failure.reason.label(), "AMQP again: {failure}");
            return;
        }
        tracing::warn!(reason = failure.reason.label(), "AMQP: {failure}");
        if logged.len() >= LOGGED_MAX {
            logged.clear();
        }
        logged.push(failure.clone());
    }

    /// Locks the list. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn logged(&self) -> std::sync::MutexGuard<'_, Vec<Failure>> {
        self.logged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
