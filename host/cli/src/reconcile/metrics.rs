//! [`Metrics`] of the calls to the platform.

use batchtask_host::telemetry::Registry;
use batchtask_platform::{Cause, Error};
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::search::{Answered, Failure};

/// The results of calls. The set is fixed.
const RESULTS: [&str; 8] = [
    OK,
    "refused",
    "rate_limited",
    "unavailable",
    "wrong_clock",
    "not_understood",
    "not_stored",
    "other",
];

/// The result of a call that succeeded.
const OK: &str = "ok";

/// The metrics of the service.
pub(super) struct Metrics {
    calls: IntCounterVec,
    reconciled: IntCounter,
    adopted: IntCounter,
    lag: IntGauge,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            calls: registry.counters(
                "batchtask_platform_calls_total",
                "Calls to the platform by the search for lost changes, by result.",
                "result",
            )?,
            reconciled: registry.counter(
                "batchtask_platform_reconciled_total",
                "Changes of known tasks that no notification reported.",
            )?,
            adopted: registry.counter(
                "batchtask_platform_adopted_total",
                "Tasks that were first seen on the platform.",
            )?,
            lag: registry.gauge(
                "batchtask_platform_lag_seconds",
                "For how long the oldest question to the platform has been due.",
            )?,
        };
        for result in RESULTS {
            metrics.calls.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    pub(super) fn answered(&self, answered: &Answered) {
        self.calls.with_label_values(&[OK]).inc();
        for found in &answered.found {
            match found.before {
                Some(_) => self.reconciled.inc(),
                None => self.adopted.inc(),
            }
        }
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.calls.with_label_values(&[result(failure)]).inc();
    }

    pub(super) fn set_lag_ms(&self, lag_ms: u64) {
        self.lag
            .set(i64::try_from(lag_ms / 1000).unwrap_or(i64::MAX));
    }
}

/// The name of a failed call's result.
pub(super) fn result(failure: &Failure) -> &'static str {
    let error = match failure {
        Failure::Platform(error) => error,
        Failure::Journal(_) => return "not_stored",
    };
    match error {
        Error::Refused(refusal) => match refusal.cause {
            Cause::RateLimit => "rate_limited",
            Cause::Unavailable => "unavailable",
            _ => "refused",
        },
        Error::UnknownHost { .. }
        | Error::Unreachable { .. }
        | Error::Tls { .. }
        | Error::Proxy { .. }
        | Error::TooSlow { .. } => "unavailable",
        Error::WrongClock { .. } => "wrong_clock",
        Error::TooLong { .. }
        | Error::Truncated { .. }
        | Error::NotJson { .. }
        | Error::Unexpected { .. } => "not_understood",
        _ => "other",
    }
}
