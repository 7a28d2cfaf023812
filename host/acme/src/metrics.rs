//! [`Metrics`] of the orders.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts};

/// The metrics. Register them as one collector. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    orders: IntCounterVec,
    failures: IntGauge,
    next: IntGauge,
}

impl Metrics {
    /// Creates the metrics, all at 0.
    ///
    /// # Errors
    /// Does not happen, because the names are valid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let orders = Opts::new(
            "batchtask_acme_orders_total",
            "Attempts of this host to obtain a certificate, by result.",
        );
        let orders = IntCounterVec::new(orders, &["result"])?;
        for result in ["issued", "failed"] {
            orders.with_label_values(&[result]);
        }
        Ok(Self {
            orders,
            failures: IntGauge::new(
                "batchtask_acme_failures_in_a_row",
                "Attempts to obtain a certificate that failed since the last one that did not.",
            )?,
            next: IntGauge::new(
                "batchtask_acme_next_order_timestamp_seconds",
                "When a certificate will be ordered, in seconds since 1970.",
            )?,
        })
    }

    pub(crate) fn count(&self, is_issued: bool) {
        let result = if is_issued { "issued" } else { "failed" };
        self.orders.with_label_values(&[result]).inc();
    }

    pub(crate) fn show(&self, failures: u32, next_ms: u64) {
        self.failures.set(failures.into());
        self.next
            .set(i64::try_from(next_ms / 1000).unwrap_or(i64::MAX));
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        let parts: [&dyn Collector; 3] = [&self.orders, &self.failures, &self.next];
        parts.iter().flat_map(|part| part.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let parts: [&dyn Collector; 3] = [&self.orders, &self.failures, &self.next];
        parts.iter().flat_map(|part| part.collect()).collect()
    }
}
