//! Metrics of requests.

use batchtask_guest::outcomes::{Outcome, Refusal, Success};
use batchtask_guest::signature::Finding;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use super::{Caller, outcome};
use crate::component::{Kind, Response};
use crate::telemetry::Registry;

/// Outcome labels for components that report outcomes of their own.
const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

pub(super) struct IntakeMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
    signatures: IntCounterVec,
    failures_in_a_row: IntGauge,
    pub(super) in_flight: IntGauge,
    pub(super) component_failures: IntCounter,
}

impl IntakeMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new("batchtask_requests_total", "Requests, by kind and outcome.");
        let metrics = Self {
            requests: registry.register(IntCounterVec::new(requests, &["kind", "outcome"])?)?,
            durations: registry.durations(
                "batchtask_request_duration_seconds",
                "Time from the end of a request's header to its response, by method or channel.",
                "method",
            )?,
            signatures: registry.counters(
                "batchtask_signatures_total",
                "Notifications whose signature was checked, by finding.",
                "finding",
            )?,
            failures_in_a_row: registry.gauge(
                "batchtask_push_failures_in_a_row",
                "Failed pushes since the last one that was answered 200: those of proven senders, \
                 and those that failed because of this host. The platform blocks a host after ten.",
            )?,
            in_flight: registry.gauge(
                "batchtask_in_flight_requests",
                "Requests being read or answered now.",
            )?,
            component_failures: registry.counter(
                "batchtask_component_failures_total",
                "Calls into the component that trapped, or for which no instance could be created.",
            )?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// Creates all counters at 0. Prometheus does not see the increase of a
    /// counter whose first value is 1.
    fn start_at_zero(&self) {
        for kind in [Kind::Push, Kind::Read, Kind::Page] {
            let labels = outcomes(kind).map(Outcome::label).chain(STATUS_CLASSES);
            for label in labels {
                self.requests.with_label_values(&[kind_label(kind), label]);
            }
        }
        for finding in Finding::ALL {
            self.signatures.with_label_values(&[finding.text()]);
        }
    }

    /// Counts a response, and records the seconds that it took.
    pub(super) fn answered(&self, caller: &Caller, response: &Response, seconds: f64) {
        let labels = [kind_label(caller.kind), outcome_label(response)];
        self.requests.with_label_values(&labels).inc();
        self.durations
            .with_label_values(&[caller.method])
            .observe(seconds);
        if let Some(finding) = &response.report.signature {
            let label = finding_label(finding);
            self.signatures.with_label_values(&[label]).inc();
        }
    }

    /// Returns the number of failures in a row.
    pub(super) fn failures_in_a_row(&self) -> u64 {
        u64::try_from(self.failures_in_a_row.get()).unwrap_or(0)
    }

    /// Updates the number of failures in a row after a push. Returns it if it changed.
    pub(super) fn pushed(
        &self,
        caller: &Caller,
        response: &Response,
        has_path_secret: bool,
    ) -> Option<i64> {
        let failures = &self.failures_in_a_row;
        if response.status == 200 {
            let had_any = failures.get() > 0;
            failures.set(0);
            return had_any.then_some(0);
        }
        is_failure(caller, response, has_path_secret).then(|| {
            failures.inc();
            failures.get()
        })
    }
}

/// Returns the outcomes that are possible for a kind of request.
fn outcomes(kind: Kind) -> impl Iterator<Item = Outcome> {
    let is_push = kind == Kind::Push;
    let successes = Success::ALL.iter().copied();
    let successes = successes.filter(move |success| match success {
        Success::Recorded | Success::Duplicate | Success::Quarantined => is_push,
        Success::Read | Success::NotModified => !is_push,
        Success::LoggedIn | Success::LoggedOut | Success::Redirected => kind == Kind::Page,
        Success::Operated => kind == Kind::Read,
        Success::Methods => true,
    });
    let refusals = Refusal::ALL.iter().copied();
    let refusals = refusals.filter(move |refusal| match refusal {
        Refusal::NotAcceptable | Refusal::BadParameter => !is_push,
        Refusal::Conflict => kind == Kind::Read,
        Refusal::TooManyLogins => kind == Kind::Page,
        _ => true,
    });
    successes
        .map(Outcome::Success)
        .chain(refusals.map(Outcome::Refusal))
}

/// Whether the platform would count a push as failed: the sender is proven, or
/// the fault is this host's. Requests of strangers do not count, because
/// otherwise any of them could raise the alarm.
fn is_failure(caller: &Caller, response: &Response, has_path_secret: bool) -> bool {
    let outcome = outcome(response);
    // A request with another method only tests whether the path exists.
    let is_other_method = outcome == Some(Outcome::Refusal(Refusal::MethodNotAllowed));
    if is_other_method || response.status < 400 {
        return false;
    }
    let is_own_fault = response.status >= 500;
    let signature = response.report.signature.as_deref();
    let is_signed = signature.is_some_and(|text| {
        let finding = Finding::ALL.iter().find(|finding| finding.text() == text);
        finding.is_some_and(|finding| finding.is_valid())
    });
    is_own_fault
        || caller.is_proven
        || is_signed
        || has_path_secret && outcome.is_some_and(knows_the_path)
}

/// Whether a refusal shows that the client knew the webhook's path. An
/// incomplete body is refused before the path is checked.
fn knows_the_path(outcome: Outcome) -> bool {
    !matches!(
        outcome,
        Outcome::Refusal(Refusal::NotFound | Refusal::BodyIncomplete)
    )
}

fn kind_label(kind: Kind) -> &'static str {
    match kind {
        Kind::Push => "push",
        Kind::Read => "read",
        Kind::Page => "page",
    }
}

/// Returns the outcome as a metric label. The set of labels is fixed, whatever
/// a component reports.
pub(super) fn outcome_label(response: &Response) -> &'static str {
    let [success, redirect, refused, failed] = STATUS_CLASSES;
    match (outcome(response), response.status) {
        (Some(outcome), _) => outcome.label(),
        (None, 200..=299) => success,
        (None, 300..=399) => redirect,
        (None, 400..=499) => refused,
        (None, _) => failed,
    }
}

/// Returns the result of a signature check as a metric label, from a fixed set.
fn finding_label(text: &str) -> &'static str {
    let known = Finding::ALL.iter().find(|finding| finding.text() == text);
    known.map_or("other", |finding| finding.text())
}

#[cfg(test)]
mod tests {
    use batchtask_guest::journal::Source;

    use super::*;
    use crate::intake::refusal;

    fn metrics() -> IntakeMetrics {
        IntakeMetrics::register(&Registry::default()).unwrap()
    }

    fn push(is_proven: bool) -> Caller {
        Caller {
            method: "POST",
            kind: Kind::Push,
            peer: None,
            is_proven,
            source: Source::Push,
        }
    }

    fn success() -> Response {
        let mut response = refusal(Refusal::Failed, None);
        response.status = 200;
        response.report.outcome = Success::Recorded.label().into();
        response
    }

    #[test]
    fn every_outcome_is_there_from_the_start() {
        let metrics = metrics();
        let families = prometheus::core::Collector::collect(&metrics.requests);
        let before = families[0].get_metric().len();
        for refusal_row in Refusal::ALL {
            metrics.answered(&push(false), &refusal(*refusal_row, None), 0.0);
        }
        metrics.answered(&push(false), &success(), 0.0);
        let families = prometheus::core::Collector::collect(&metrics.requests);
        // A push has no query, is never asked for a coding, and is neither a login nor a
        // command of an operator.
        assert_eq!(families[0].get_metric().len(), before + 4);
    }

    #[test]
    fn failures_in_a_row_are_those_that_the_platform_counts() {
        let valid = Finding::ValidSeconds.text();
        for (refused, is_proven, has_path_secret, signature, counts) in [
            // A fault of this host, whatever the sender is.
            (Refusal::Overloaded, false, false, None, true),
            (Refusal::Failed, false, true, None, true),
            // Strangers.
            (Refusal::BodyTimeout, false, false, None, false),
            (Refusal::Unauthorized, false, false, None, false),
            (Refusal::NotANotification, false, false, None, false),
            (Refusal::NotFound, false, true, None, false),
            (Refusal::BodyIncomplete, false, true, None, false),
            // A client certificate, a signature, the secret path.
            (Refusal::NotANotification, true, false, None, true),
            (Refusal::NotJson, false, false, Some(valid), true),
            (Refusal::Unauthorized, false, true, None, true),
            (Refusal::BodyTimeout, false, true, None, true),
            // A request with another method is not a push.
            (Refusal::MethodNotAllowed, true, true, None, false),
        ] {
            let metrics = metrics();
            let mut response = refusal(refused, None);
            response.report.signature = signature.map(Into::into);
            for row in 1..=2 {
                metrics.pushed(&push(is_proven), &response, has_path_secret);
                let expected = if counts { row } else { 0 };
                assert_eq!(metrics.failures_in_a_row.get(), expected, "{refused:?}");
            }
            metrics.pushed(&push(is_proven), &success(), has_path_secret);
            assert_eq!(metrics.failures_in_a_row.get(), 0);
        }
    }
}
