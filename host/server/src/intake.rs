//! The intake: every channel passes its notifications to an [`Intake`], which
//! limits, counts and logs them, asks the component to decide, and commits.
//!
//! - `metrics`: request metrics; `lines`: log lines; `skew`: detects a wrong clock.
//! - `quarantine`: replays and drops rejects.
//! - `trace`: a request in its trace.

mod lines;
mod metrics;
mod quarantine;
mod skew;
mod trace;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use batchtask_guest::headers::Fields;
use batchtask_guest::journal::{Source, source_name};
use batchtask_guest::outcomes::{Outcome, Problem, Refusal, Success};
use batchtask_guest::receiver::{Decision, Entry as Stored, Write, is_read, kind};
use batchtask_guest::session::{self, Right};
use batchtask_guest::settings::{Fault, Settings as Checked};
use batchtask_journal::{Entry, GroupCommit};
use batchtask_span::Tracer;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::quarantine::QuarantineError;

use self::metrics::IntakeMetrics;
use self::skew::Skew;
pub(crate) use self::trace::Trace;
use crate::bursts::Bursts;
use crate::clock::now_ms;
use crate::component::{
    Admission, BuildError, Called, Component, Failure, Kind, Message, Options, Request, Response,
};
use crate::gzip;
use crate::limits::Limits;
use crate::notices::Notices;
use crate::pressure::Pressure;
use crate::reads::{Read, Reads};
use crate::settings::Settings;
use crate::telemetry::GaugeGuard;

/// The receiver: a component and its journal. Any number of calls may run at
/// once.
pub struct Intake {
    component: Component,
    journal: Arc<GroupCommit>,
    limits: Limits,
    in_flight: Semaphore,
    reads: Reads,
    metrics: IntakeMetrics,
    /// Limits the log lines of refused pushes.
    refused: Arc<Bursts>,
    pressure: Pressure,
    skew: Skew,
    /// The values of the settings.
    notices: Notices,
    checked: RwLock<Arc<Checked>>,
    tracer: Tracer,
}

/// The origin of a call, for metrics and logs.
pub(crate) struct Caller {
    /// The method, or the name of the channel.
    pub(crate) method: &'static str,
    pub(crate) kind: Kind,
    /// The peer's address, if it has one.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether the host itself has proven the sender.
    pub(crate) is_proven: bool,
    /// The channel.
    pub(crate) source: Source,
}

impl Caller {
    /// Whether the platform sent it by itself: then its time shows whether this host's clock
    /// is right.
    fn was_sent(&self) -> bool {
        self.kind == Kind::Push && self.source != Source::Reconcile
    }

    /// Whether it is a notification over HTTP. If the host fails, the platform loses it,
    /// but not a message of another channel.
    fn was_pushed(&self) -> bool {
        self.kind == Kind::Push && self.source == Source::Push
    }
}

/// Returns the documented outcome of a response, or `None` if the component
/// reports an outcome of its own.
pub fn outcome(response: &Response) -> Option<Outcome> {
    Outcome::of(&response.report.outcome)
}

impl Intake {
    /// Compiles the component, and lets it check its settings.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(journal: Arc<GroupCommit>, options: &Options) -> Result<Self, BuildError> {
        let component = Component::build(options, journal.clone())?;
        component.check().await?;
        let checked = checked(&options.settings)?;
        let (limits, registry) = (options.limits.clone(), &options.registry);
        Ok(Self {
            component,
            journal,
            in_flight: Semaphore::new(limits.max_in_flight as usize),
            reads: Reads::register(limits.max_reads as usize, registry)?,
            limits,
            metrics: IntakeMetrics::register(registry)?,
            refused: lines::bursts(),
            pressure: Pressure::new(),
            skew: Skew::register(registry, options.notices.clone())?,
            notices: options.notices.clone(),
            checked: RwLock::new(Arc::new(checked)),
            tracer: options.tracer.clone(),
        })
    }

    /// Uses other settings from the next request on. Requests that are being
    /// answered keep theirs.
    ///
    /// # Errors
    /// The settings are invalid. The previous ones stay in use.
    pub async fn reload(&self, settings: &Settings) -> Result<(), BuildError> {
        self.component.reload(settings).await?;
        let checked = Arc::new(checked(settings)?);
        *self.checked.write().unwrap_or_else(PoisonError::into_inner) = checked;
        Ok(())
    }

    /// The length of the longest body that is accepted, in bytes.
    pub fn max_body_bytes(&self) -> usize {
        self.settings().max_body_bytes
    }

    /// The values of the settings.
    pub(crate) fn settings(&self) -> Arc<Checked> {
        self.checked
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Creates an instance of the component, and lets it check its settings.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn check(&self) -> Result<(), BuildError> {
        self.component.check().await
    }

    /// Returns what the sender of a request may do besides pushing.
    pub fn right(&self, fields: &Fields) -> Option<Right> {
        session::check(fields, &self.settings(), now_ms()).ok()
    }

    /// Whether somebody may operate this host.
    pub fn has_operators(&self) -> bool {
        !self.settings().operate_tokens.is_empty()
    }

    /// Returns the journal.
    pub fn journal(&self) -> &Arc<GroupCommit> {
        &self.journal
    }

    /// Answers a request whose body has been read completely. Errors are
    /// returned as responses.
    pub async fn exchange(&self, request: Request) -> Response {
        let caller = Caller {
            method: method_label(&request.method),
            kind: kind(&request.target),
            peer: None,
            is_proven: request.sender_proven,
            source: Source::Push,
        };
        let trace = Trace::of_request(&self.tracer, &caller, &request);
        let work = async |deadline, trace: &mut Trace| match self.turn(deadline).await {
            Ok(_turn) => self.answer(request, deadline, trace).await,
            Err(response) => (*response, None),
        };
        self.observe(&caller, trace, work).await.0
    }

    /// Accepts a notification from a channel other than HTTP. The caller must
    /// have authenticated the sender. Status 200 means that the notification is
    /// durable; 500 or above, that the same call may succeed later; any other
    /// status, that it will never succeed.
    pub async fn accept(&self, message: Message) -> Response {
        let caller = Caller {
            method: source_name(message.source),
            kind: Kind::Push,
            peer: None,
            is_proven: true,
            source: message.source,
        };
        let trace = Trace::of_message(&self.tracer, &caller);
        let work = async |deadline, trace: &mut Trace| {
            let _turn = match self.turn(deadline).await {
                Ok(turn) => turn,
                Err(response) => return (*response, ()),
            };
            trace.begin_decision();
            let decided = self.component.decide_message(message, deadline).await;
            trace.end_decision();
            (self.conclude(decided, deadline, trace).await, ())
        };
        self.observe(&caller, trace, work).await.0
    }

    /// Checks the head of a request, and ignores its body. Returns `Ok(None)` if
    /// the component does not export this check.
    ///
    /// # Errors
    /// Returns the final response if the request is refused.
    pub(crate) async fn head(
        &self,
        head: &Request,
        deadline: Instant,
    ) -> Result<Option<Admission>, Box<Response>> {
        match self.component.head(head, deadline).await {
            Ok(Some(admitted)) => admitted.map(Some).map_err(Box::new),
            Ok(None) => Ok(None),
            Err(failure) => Err(self.failed(&failure).into()),
        }
    }

    /// Waits until a complete request may be answered. Keep the permit until
    /// the response is known.
    ///
    /// # Errors
    /// Returns the final response if the deadline passes first.
    pub(crate) async fn turn(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, Box<Response>> {
        if let Ok(turn) = self.in_flight.try_acquire() {
            return Ok(turn);
        }
        let turn = tokio::time::timeout_at(deadline.into(), self.in_flight.acquire()).await;
        turn.ok()
            .and_then(Result::ok)
            .ok_or_else(|| refusal(Refusal::Overloaded, None).into())
    }

    /// Answers a request; call this within [`observe`](Self::observe). The
    /// answer to a read stays in memory until it has been sent: keep the
    /// [`Read`] until then.
    pub(crate) async fn answer(
        &self,
        request: Request,
        deadline: Instant,
        trace: &mut Trace,
    ) -> (Response, Option<Read>) {
        trace.has_body(request.body.len());
        if !is_read(&request) {
            trace.begin_decision();
            let decided = self.component.decide_push(request, deadline).await;
            trace.end_decision();
            return (self.conclude(decided, deadline, trace).await, None);
        }
        let Some(read) = self.reads.begin() else {
            return (refusal(Refusal::Overloaded, None), None);
        };
        let is_compressed = gzip::is_wanted(&request, kind(&request.target));
        // Boxed, so that the future of a push is small.
        let decided = Box::pin(self.component.decide(request, deadline));
        trace.begin_decision();
        let decided = self.reads.in_turn(decided).await;
        trace.end_decision();
        let mut response = self.conclude(decided, deadline, trace).await;
        if is_compressed {
            self.reads
                .in_turn(async { gzip::compress(&mut response) })
                .await;
        }
        // Only a reader with the token may hold a read slot while the answer is sent.
        let was_read = outcome(&response) == Some(Outcome::Success(Success::Read));
        (response, was_read.then_some(read))
    }

    /// Runs `work` with a deadline, and counts, logs and traces its response.
    pub(crate) async fn observe<T>(
        &self,
        caller: &Caller,
        mut trace: Trace,
        work: impl AsyncFnOnce(Instant, &mut Trace) -> (Response, T),
    ) -> (Response, T) {
        let started = Instant::now();
        // Also dropped with this future when an HTTP/2 client cancels its request.
        let counted = GaugeGuard::new(&self.metrics.in_flight);
        let deadline = started + self.limits.request_time();
        let (response, extra) = work(deadline, &mut trace).await;
        drop(counted);
        self.report(caller, &response, started.elapsed(), &trace);
        trace.end(caller, &response);
        (response, extra)
    }

    /// Counts and logs a response.
    fn report(&self, caller: &Caller, response: &Response, elapsed: Duration, trace: &Trace) {
        self.metrics
            .answered(caller, response, elapsed.as_secs_f64());
        if caller.was_pushed() {
            let has_path_secret = !self.settings().path_secrets.is_empty();
            if let Some(failures) = self.metrics.pushed(caller, response, has_path_secret) {
                self.show_failures(failures);
            }
            self.pressure.count(response.status == 503);
        }
        if caller.was_sent() {
            self.skew.pushed(response);
        }
        lines::log(caller, response, elapsed, trace, &self.refused);
    }

    /// Shows readers how many pushes in a row were not answered 200.
    fn show_failures(&self, failures: i64) {
        const NOTICE: &str = "pushes";
        if failures == 0 {
            self.notices.clear(NOTICE);
        } else {
            let text = format!(
                "the number of pushes in a row that were not answered 200 is {failures}; after 10 \
                 the platform blocks this host. The log says why"
            );
            self.notices.set(NOTICE, text);
        }
    }

    /// Returns why this host is refusing pushes now (no capacity or no file
    /// descriptors), or `None` if it is not.
    pub fn refusing(&self) -> Option<String> {
        self.pressure.refusing()
    }

    /// Returns how many pushes in a row were not answered 200, as far as the platform counts
    /// them.
    pub fn push_failures_in_a_row(&self) -> u64 {
        self.metrics.failures_in_a_row()
    }

    /// Returns whether the clock of this host agrees with the platform's, if pushes since the
    /// start showed it.
    pub fn clock_agrees(&self) -> Option<bool> {
        self.skew.agrees()
    }

    /// Returns after how many milliseconds without a new event an open task is stale.
    pub fn stale_after_ms(&self) -> u64 {
        self.settings().stale_after_ms
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    pub(crate) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    async fn conclude(
        &self,
        decided: Called<Decision>,
        deadline: Instant,
        trace: &Trace,
    ) -> Response {
        match decided {
            Ok(Decision::Respond(response)) => response,
            Ok(Decision::Write(write)) => self.commit(write, deadline, trace).await,
            Err(failure) => self.failed(&failure),
        }
    }

    /// Commits a write, and returns the response. No instance is in use
    /// meanwhile.
    async fn commit(&self, write: Write, deadline: Instant, trace: &Trace) -> Response {
        let (entry, signature, receipt) = write.split();
        // Before the commit, because the event may be passed on before it returns.
        let remembered = trace.remember(&self.tracer, &entry);
        let entry = match entry {
            Stored::Event(event) => Entry::Event(event, signature),
            Stored::Reject(reject) => Entry::Reject(reject, signature),
        };
        let written = self.journal.write_by(entry, deadline, trace.span());
        let Some(written) = written.await else {
            return refusal(Refusal::Slow, None);
        };
        if let Some(digest) = remembered.filter(|_| written.is_err()) {
            self.tracer.forget(&digest);
        }
        written
            .map_err(Problem::of_journal)
            .and_then(|appended| receipt.into_response(appended))
            .unwrap_or_else(|problem| problem.into_response())
    }

    /// Returns the response for a failed call into the component.
    fn failed(&self, failure: &Failure) -> Response {
        match failure {
            Failure::Slow => refusal(Refusal::Slow, None),
            Failure::Trap(error) => {
                self.metrics.component_failures.inc();
                tracing::error!(error = format!("{error:#}"), "the component failed");
                refusal(Refusal::Failed, None)
            }
        }
    }
}

/// The values of the settings that a component has accepted. A component that does not
/// check its settings may have accepted invalid ones: then the host uses the defaults.
fn checked(settings: &Settings) -> Result<Checked, BuildError> {
    let read = Checked::read(|name| settings.get(name).map(String::from));
    let read = read.or_else(|_| Checked::read(|_| None));
    read.map_err(|faults| BuildError::Settings(faults.iter().map(Fault::text).collect()))
}

/// Returns the response for a refusal by the host itself. Its texts come from
/// the component's table of outcomes.
pub(crate) fn refusal(refusal: Refusal, operator: Option<String>) -> Response {
    let problem = Problem {
        operator,
        ..Problem::from(refusal)
    };
    problem.into_response()
}

/// Returns the method's name for logs and metrics, or `other` for a method that
/// is not well known, because a client may invent any.
pub(crate) fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}
