//! [`RelayMetrics`]: the metrics of all sinks.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use crate::circuit::CircuitState;
use crate::relay::Relay;
use crate::status::{Ownership, SinkStatus};

/// The metrics of all sinks, computed when they are asked for. The label `sink` has the
/// names of the configuration, so their number is bounded.
#[derive(Clone)]
pub struct RelayMetrics(Arc<Relay>);

/// A gauge for each sink.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: fn(&SinkStatus) -> u64,
}

const GAUGES: &[Gauge] = &[
    Gauge {
        name: "batchtask_sink_owned",
        help: "Whether this host passes events on to the sink.",
        value: |status| (status.ownership == Ownership::Owned).into(),
    },
    Gauge {
        name: "batchtask_sink_lag_events",
        help: "Events of the journal that the sink has not delivered.",
        value: SinkStatus::lag_events,
    },
    Gauge {
        name: "batchtask_sink_lag_seconds",
        help: "How long the sink's oldest undelivered event has waited.",
        value: |status| status.lag_ms / 1000,
    },
    Gauge {
        name: "batchtask_sink_circuit",
        help: "Whether the sink works: 0 it does, 1 it is being tried, 2 it does not.",
        value: |status| match status.counts.circuit {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        },
    },
    Gauge {
        name: "batchtask_sink_paused",
        help: "Whether an operator paused the sink.",
        value: |status| status.counts.is_paused.into(),
    },
    Gauge {
        name: "batchtask_sink_parked_events",
        help: "Events that failed and are tried again, and events that wait behind them.",
        value: |status| status.counts.parked as u64,
    },
    Gauge {
        name: "batchtask_sink_held_tasks",
        help: "Tasks whose next event failed, or that a dead letter holds.",
        value: |status| status.counts.held_tasks as u64,
    },
    Gauge {
        name: "batchtask_sink_dead_letters",
        help: "Events that were given up.",
        value: |status| status.counts.dead as u64,
    },
];

/// The counter of attempts.
const ATTEMPTS: (&str, &str) = (
    "batchtask_sink_attempts_total",
    "Attempts to deliver an event, by result. `refused`: the receiver refused the event. \
     `failed`: the sink did not work. `replayed`: it was sent again by a replay, and accepted.",
);

impl RelayMetrics {
    /// Returns the metrics of a relay.
    pub fn new(relay: Arc<Relay>) -> Self {
        Self(relay)
    }

    fn families(statuses: &[SinkStatus]) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let mut families = Vec::new();
        for gauge in GAUGES {
            let values = IntGaugeVec::new(Opts::new(gauge.name, gauge.help), &["sink"])?;
            for status in statuses {
                let value = i64::try_from((gauge.value)(status)).unwrap_or(i64::MAX);
                values.with_label_values(&[&status.name]).set(value);
            }
            families.extend(values.collect());
        }
        let (name, help) = ATTEMPTS;
        let attempts = IntCounterVec::new(Opts::new(name, help), &["sink", "result"])?;
        for status in statuses {
            for (result, count) in [
                ("delivered", status.results.delivered),
                ("refused", status.results.refused),
                ("failed", status.results.sink_failed),
                ("replayed", status.results.replayed),
            ] {
                let counter = attempts.with_label_values(&[status.name.as_str(), result]);
                counter.inc_by(count);
            }
        }
        families.extend(attempts.collect());
        Ok(families)
    }
}

impl Collector for RelayMetrics {
    fn desc(&self) -> Vec<&Desc> {
        // The names are fixed, and this is registered once.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Self::families(&self.0.statuses()).unwrap_or_default()
    }
}
