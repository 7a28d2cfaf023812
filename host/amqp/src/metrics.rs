//! [`Metrics`] of the AMQP channel.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::credentials::now_ms;
use crate::failure::Reason;

/// The metrics. Register them as one collector. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) connected: IntGauge,
    pub(crate) credit: IntGauge,
    pub(crate) unsettled: IntGauge,
    pub(crate) unsettled_bytes: IntGauge,
    pub(crate) deliveries: IntCounter,
    pub(crate) redelivered: IntCounter,
    pub(crate) retries: IntCounter,
    pub(crate) refused: IntCounter,
    pub(crate) accepted: IntCounter,
    last_delivery: Gauge,
    failures: IntCounterVec,
}

impl Metrics {
    /// Creates the metrics, all at 0.
    ///
    /// # Errors
    /// Does not happen, because the names are valid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let failures = Opts::new(
            "batchtask_amqp_failures_total",
            "Failures to connect to the AMQP broker, to receive from a queue, or to stay connected, by reason.",
        );
        let metrics = Self {
            connected: IntGauge::new(
                "batchtask_amqp_connected",
                "1 while messages can be received from the AMQP broker, otherwise 0.",
            )?,
            credit: IntGauge::new(
                "batchtask_amqp_credit",
                "Messages that the AMQP broker may send now.",
            )?,
            unsettled: IntGauge::new(
                "batchtask_amqp_unsettled",
                "AMQP messages that were received and are not yet accepted.",
            )?,
            unsettled_bytes: IntGauge::new(
                "batchtask_amqp_unsettled_bytes",
                "Bytes of the AMQP messages that are not yet accepted.",
            )?,
            deliveries: IntCounter::new(
                "batchtask_amqp_deliveries_total",
                "AMQP messages that were received.",
            )?,
            redelivered: IntCounter::new(
                "batchtask_amqp_redelivered_total",
                "AMQP messages that the broker had sent before, as it reports.",
            )?,
            retries: IntCounter::new(
                "batchtask_amqp_retries_total",
                "Attempts to store an AMQP message that failed. The message is stored later.",
            )?,
            refused: IntCounter::new(
                "batchtask_amqp_refused_total",
                "AMQP messages that can never be stored. They were accepted without being stored.",
            )?,
            accepted: IntCounter::new(
                "batchtask_amqp_accepted_total",
                "AMQP messages that were accepted.",
            )?,
            last_delivery: Gauge::new(
                "batchtask_amqp_last_delivery_timestamp_seconds",
                "When an AMQP message last arrived, in seconds since 1970; 0 if none has arrived.",
            )?,
            failures: IntCounterVec::new(failures, &["reason"])?,
        };
        // Prometheus does not see the increase of a counter whose first value is 1.
        for reason in Reason::ALL {
            metrics.failures.with_label_values(&[reason.label()]);
        }
        Ok(metrics)
    }

    pub(crate) fn failed(&self, reason: Reason) {
        self.failures.with_label_values(&[reason.label()]).inc();
    }

    pub(crate) fn arrived(&self) {
        self.deliveries.inc();
        let seconds = Duration::from_millis(now_ms()).as_secs_f64();
        self.last_delivery.set(seconds);
    }

    fn collectors(&self) -> [&dyn Collector; 11] {
        [
            &self.connected,
            &self.credit,
            &self.unsettled,
            &self.unsettled_bytes,
            &self.deliveries,
            &self.redelivered,
            &self.retries,
            &self.refused,
            &self.accepted,
            &self.last_delivery,
            &self.failures,
        ]
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        let collectors = self.collectors();
        collectors.into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let collectors = self.collectors();
        collectors
            .into_iter()
            .flat_map(Collector::collect)
            .collect()
    }
}

/// A part of the gauges of what is in progress. It is taken back when it is dropped.
pub(crate) struct InProgress {
    metrics: Metrics,
    credit: i64,
    unsettled: i64,
    bytes: i64,
}

impl InProgress {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            credit: 0,
            unsettled: 0,
            bytes: 0,
        }
    }

    pub(crate) fn set(&mut self, credit: u32, unsettled: u32, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let (credit, unsettled) = (i64::from(credit), i64::from(unsettled));
        self.metrics.credit.add(credit - self.credit);
        self.metrics.unsettled.add(unsettled - self.unsettled);
        self.metrics.unsettled_bytes.add(bytes - self.bytes);
        (self.credit, self.unsettled, self.bytes) = (credit, unsettled, bytes);
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.set(0, 0, 0);
    }
}
