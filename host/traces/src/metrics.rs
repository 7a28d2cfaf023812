//! [`Metrics`] of the export.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// The metrics. Register them as one collector. Clones share the values.
#[derive(Clone, Debug)]
pub struct Metrics {
    spans: IntCounterVec,
    /// Spans that the collector took.
    pub(crate) exported: IntCounter,
    /// Spans that were dropped because the queue was full.
    pub(crate) no_room: IntCounter,
    /// Spans that the collector did not take.
    pub(crate) failed: IntCounter,
    pub(crate) waiting: IntGauge,
}

impl Metrics {
    /// Creates the metrics, all at 0.
    ///
    /// # Errors
    /// Does not happen, because the names are valid.
    pub fn new() -> Result<Self, prometheus::Error> {
        let spans = Opts::new(
            "batchtask_trace_spans_total",
            "Spans of traces, by what became of them.",
        );
        let spans = IntCounterVec::new(spans, &["result"])?;
        // Prometheus does not see the increase of a counter whose first value is 1.
        let result = |label| spans.with_label_values(&[label]);
        Ok(Self {
            exported: result("exported"),
            no_room: result("no_room"),
            failed: result("failed"),
            waiting: IntGauge::new(
                "batchtask_trace_spans_waiting",
                "Spans of traces that wait for their export now.",
            )?,
            spans,
        })
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.spans.desc(), self.waiting.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        [self.spans.collect(), self.waiting.collect()].concat()
    }
}
