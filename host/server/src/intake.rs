//! The one way in: every channel hands its notifications to an [`Intake`],
//! which bounds, counts and logs them, has the component decide, and commits.
//!
//! - `metrics`: what is counted; `lines`: log lines; `skew`: the clock.

mod lines;
mod metrics;
mod skew;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_guest::outcomes::{Outcome, Problem, Refusal, Success};
use batchtask_guest::receiver::{Decision, Entry as Stored, Write, is_read, kind};
use batchtask_journal::{Entry, GroupCommit};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::metrics::IntakeMetrics;
use self::skew::Skew;
use crate::bursts::Bursts;
use crate::component::{
    Admission, BuildError, Called, Component, Failure, Kind, Message, Options, Request, Response,
};
use crate::limits::Limits;
use crate::pressure::Pressure;
use crate::reads::{Read, Reads};
use crate::telemetry::GaugeGuard;

/// The receiver: a component over a journal. Shared by reference; any number
/// of calls may run at once.
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
    /// Whether the path of the webhook proves the sender.
    has_path_secret: bool,
}

/// Who a call comes from, for metrics and logs.
pub(crate) struct Caller {
    /// The method, or the name of the channel.
    pub(crate) method: &'static str,
    pub(crate) kind: Kind,
    /// The address that it came from, if it has one.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether the host itself has proven the sender.
    pub(crate) is_proven: bool,
}

/// The row of the table of outcomes that a response is of. `None` if the
/// component has a table of its own.
pub fn outcome(response: &Response) -> Option<Outcome> {
    Outcome::of(&response.report.outcome)
}

impl Intake {
    /// Compiles the component and has it check its settings.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(journal: Arc<GroupCommit>, options: &Options) -> Result<Self, BuildError> {
        let component = Component::build(options, journal.clone())?;
        component.check().await?;
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
            has_path_secret: options.settings.get("BATCHTASK_PATH_SECRET").is_some(),
        })
    }

    /// Makes an instance of the component, and has it check its settings.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn check(&self) -> Result<(), BuildError> {
        self.component.check().await
    }

    /// The journal that it commits to.
    pub fn journal(&self) -> &Arc<GroupCommit> {
        &self.journal
    }

    /// Answers a request whose body was read to its end. Never fails: what
    /// goes wrong is a response too.
    pub async fn exchange(&self, request: Request) -> Response {
        let caller = Caller {
            method: method_label(&request.method),
            kind: kind(&request.target),
            peer: None,
            is_proven: request.sender_proven,
        };
        let work = async |deadline| match self.turn(deadline).await {
            Ok(_turn) => self.answer(request, deadline).await,
            Err(response) => (*response, None),
        };
        self.observe(&caller, work).await.0
    }

    /// Takes one notification from another channel than HTTP, from a sender
    /// that the caller has checked. A response with the status 200 means that
    /// it is durable; with 500 or more, that the same call may succeed later;
    /// with anything else, that it never will.
    pub async fn accept(&self, message: Message) -> Response {
        let caller = Caller {
            method: batchtask_guest::journal::source_name(message.source),
            kind: Kind::Push,
            peer: None,
            is_proven: true,
        };
        let work = async |deadline| {
            let _turn = match self.turn(deadline).await {
                Ok(turn) => turn,
                Err(response) => return (*response, ()),
            };
            let decided = self.component.decide_message(message, deadline).await;
            (self.conclude(decided, deadline).await, ())
        };
        self.observe(&caller, work).await.0
    }

    /// Checks the head of a request: its body is ignored, and need not be
    /// there. `Ok(None)` if the component has no such check.
    ///
    /// # Errors
    /// The final response.
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

    /// Waits for the turn of a complete request among those that are being
    /// answered. Keep the permit until its response is there.
    ///
    /// # Errors
    /// The final response.
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

    /// Answers a request, as part of what [`observe`](Self::observe) does. The
    /// answer to a read is held in memory until the caller has taken it: keep
    /// the [`Read`] until then.
    pub(crate) async fn answer(
        &self,
        request: Request,
        deadline: Instant,
    ) -> (Response, Option<Read>) {
        if !is_read(&request) {
            let decided = self.component.decide_push(request, deadline).await;
            return (self.conclude(decided, deadline).await, None);
        }
        let Some(read) = self.reads.begin() else {
            return (refusal(Refusal::Overloaded, None), None);
        };
        let decided = self.component.decide(request, deadline);
        let decided = self.reads.in_turn(decided).await;
        let response = self.conclude(decided, deadline).await;
        // Only those who were let in may take time over an answer.
        let was_read = outcome(&response) == Some(Outcome::Success(Success::Read));
        (response, was_read.then_some(read))
    }

    /// Runs `work` within the time of a request; counts and logs its response.
    pub(crate) async fn observe<T>(
        &self,
        caller: &Caller,
        work: impl AsyncFnOnce(Instant) -> (Response, T),
    ) -> (Response, T) {
        let started = Instant::now();
        // Dropped with this future when an HTTP/2 caller breaks off.
        let counted = GaugeGuard::new(&self.metrics.in_flight);
        let (response, extra) = work(started + self.limits.request_time()).await;
        drop(counted);
        self.report(caller, &response, started.elapsed());
        (response, extra)
    }

    /// Counts and logs a response.
    fn report(&self, caller: &Caller, response: &Response, elapsed: Duration) {
        self.metrics
            .answered(caller, response, elapsed.as_secs_f64());
        if caller.kind == Kind::Push {
            self.metrics.pushed(caller, response, self.has_path_secret);
            self.pressure.count(response.status == 503);
            self.skew.pushed(response);
        }
        lines::log(caller, response, elapsed, &self.refused);
    }

    /// Why this host refuses pushes now, for lack of room or of file
    /// descriptors. `None` if it does not.
    pub fn refusing(&self) -> Option<String> {
        self.pressure.refusing()
    }

    pub(crate) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    async fn conclude(&self, decided: Called<Decision>, deadline: Instant) -> Response {
        match decided {
            Ok(Decision::Respond(response)) => response,
            Ok(Decision::Write(write)) => self.commit(write, deadline).await,
            Err(failure) => self.failed(&failure),
        }
    }

    /// Makes it durable, and returns the response. No instance is held
    /// meanwhile.
    async fn commit(&self, write: Write, deadline: Instant) -> Response {
        let (entry, signature, receipt) = write.split();
        let entry = match entry {
            Stored::Event(event) => Entry::Event(event, signature),
            Stored::Reject(reject) => Entry::Reject(reject, signature),
        };
        let Some(written) = self.journal.write_by(entry, deadline).await else {
            return refusal(Refusal::Slow, None);
        };
        written
            .map_err(Problem::of_journal)
            .and_then(|appended| receipt.into_response(appended))
            .unwrap_or_else(|problem| problem.into_response())
    }

    /// The response when a call into the component has no result.
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

/// A refusal of the host's own, from the component's table.
pub(crate) fn refusal(refusal: Refusal, operator: Option<String>) -> Response {
    let problem = Problem {
        operator,
        ..Problem::from(refusal)
    };
    problem.into_response()
}

/// The name of a method in logs and metrics, because a caller may invent any.
pub(crate) fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}
