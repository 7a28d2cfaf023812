//! The one way in: every channel hands its notifications to an [`Intake`],
//! which bounds, counts and logs them, has the component decide, and commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_guest::outcomes::{Outcome, Problem, Refusal, Success};
use batchtask_guest::receiver::{Decision, Entry as Stored, Write};
use batchtask_guest::signature::Finding;
use batchtask_journal::{Entry, GroupCommit};
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};
use tokio::sync::Semaphore;

use crate::component::{
    Admission, BuildError, Called, Component, Failure, Message, Options, Request, Response,
};
use crate::limits::Limits;
use crate::reads::{Read, Reads};
use crate::telemetry::{GaugeGuard, Registry};

/// The receiver: a component over a journal. Shared by reference; any number
/// of calls may run at once.
pub struct Intake {
    component: Component,
    journal: Arc<GroupCommit>,
    limits: Limits,
    in_flight: Semaphore,
    reads: Reads,
    metrics: IntakeMetrics,
}

struct IntakeMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    signatures: IntCounterVec,
    in_flight: IntGauge,
    failures: IntCounter,
}

impl IntakeMetrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            requests: registry.counters(
                "batchtask_requests_total",
                "Requests, by outcome.",
                "outcome",
            )?,
            durations: registry.durations(
                "batchtask_request_duration_seconds",
                "From the end of a header to the answer, by method or channel.",
                "method",
            )?,
            signatures: registry.counters(
                "batchtask_signatures_total",
                "Notifications whose signature was checked, by finding.",
                "finding",
            )?,
            in_flight: registry.gauge(
                "batchtask_in_flight_requests",
                "Requests being read or answered now.",
            )?,
            failures: registry.counter(
                "batchtask_component_failures_total",
                "Calls into the component that trapped, or found no instance.",
            )?,
        })
    }

    fn answered(&self, method: &str, response: &Response, elapsed: Duration) {
        self.requests
            .with_label_values(&[outcome_label(response)])
            .inc();
        let duration = self.durations.with_label_values(&[method]);
        duration.observe(elapsed.as_secs_f64());
        if let Some(finding) = &response.report.signature {
            let label = finding_label(finding);
            self.signatures.with_label_values(&[label]).inc();
        }
    }
}

/// The row of the table of outcomes that a response is of. `None` if the
/// component has a table of its own.
pub fn outcome(response: &Response) -> Option<Outcome> {
    Outcome::of(&response.report.outcome)
}

/// The outcome as a metric's label: one of a fixed set, whatever a component
/// reports.
fn outcome_label(response: &Response) -> &'static str {
    match (outcome(response), response.status) {
        (Some(outcome), _) => outcome.label(),
        (None, 200..=299) => "2xx",
        (None, 300..=399) => "3xx",
        (None, 400..=499) => "4xx",
        (None, _) => "5xx",
    }
}

/// The same for the result of a signature check.
fn finding_label(text: &str) -> &'static str {
    let known = Finding::ALL.iter().find(|finding| finding.text() == text);
    known.map_or("other", |finding| finding.text())
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
        let method = method_label(&request.method);
        let work = async |deadline| self.answer(request, deadline).await;
        self.observe(method, work).await.0
    }

    /// Takes one notification from another channel than HTTP, from a sender
    /// that the caller has checked. A response with the status 200 means that
    /// it is durable; with 500 or more, that the same call may succeed later;
    /// with anything else, that it never will.
    pub async fn accept(&self, message: Message) -> Response {
        let channel = batchtask_guest::journal::source_name(message.source);
        let work = async |deadline| {
            let decided = self.component.decide_message(message, deadline).await;
            (self.conclude(decided, deadline).await, ())
        };
        self.observe(channel, work).await.0
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
    ) -> Result<Option<Admission>, Response> {
        match self.component.head(head, deadline).await {
            Ok(Some(admitted)) => admitted.map(Some),
            Ok(None) => Ok(None),
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    /// Answers a request, as part of what [`observe`](Self::observe) does. The
    /// answer to a read is held in memory until the caller has taken it: keep
    /// the [`Read`] until then.
    pub(crate) async fn answer(
        &self,
        request: Request,
        deadline: Instant,
    ) -> (Response, Option<Read>) {
        if !is_safe(&request.method) {
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

    /// Runs `work` within the bound on requests in flight and the time of a
    /// request; counts and logs its response.
    pub(crate) async fn observe<T>(
        &self,
        method: &'static str,
        work: impl AsyncFnOnce(Instant) -> (Response, T),
    ) -> (Response, Option<T>) {
        let started = Instant::now();
        // Dropped with this future when an HTTP/2 caller breaks off.
        let counted = GaugeGuard::new(&self.metrics.in_flight);
        let (response, extra) = match self.in_flight.try_acquire() {
            Ok(_permit) => {
                let (response, extra) = work(started + self.limits.request_time()).await;
                (response, Some(extra))
            }
            Err(_) => (refusal(Refusal::Overloaded, None), None),
        };
        drop(counted);
        let elapsed = started.elapsed();
        self.metrics.answered(method, &response, elapsed);
        log(method, &response, elapsed);
        (response, extra)
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
                self.metrics.failures.inc();
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

/// Whether a method only reads (RFC 9110, 9.2.1).
fn is_safe(method: &str) -> bool {
    http::Method::from_bytes(method.as_bytes()).is_ok_and(|method| method.is_safe())
}

/// The name of a method in logs and metrics, because a caller may invent any.
pub(crate) fn method_label(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}

/// Logs one line a request. The path is left out: it may contain a secret.
fn log(method: &str, response: &Response, elapsed: Duration) {
    let report = &response.report;
    tracing::info!(
        method,
        status = response.status,
        outcome = report.outcome,
        app_id = report.app_id,
        task_id = report.task_id,
        detail = report.detail,
        signature = report.signature,
        ms = elapsed.as_secs_f64() * 1e3,
        "request"
    );
}
