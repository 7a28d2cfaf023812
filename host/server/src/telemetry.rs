//! Prometheus metrics. Each part of the host registers its own.
//!
//! - [`ConnectionFailures`]: counts connections that fail.
//! - `process`: metrics of this process.

mod connections;
mod process;

use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::Class;
use batchtask_guest::journal::Summary;
use batchtask_journal::{Measure, MeasureKind, Observer, Stats};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, TextEncoder,
};

pub use self::connections::{ConnectionFailure, ConnectionFailures};

/// Upper bounds of duration buckets, in seconds: from a commit on a fast disk to
/// the 15 s after which the platform gives up.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0,
];

/// Upper bounds of the buckets for the number of writes in a commit.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Holds a gauge up by one until it is dropped.
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    /// Raises the gauge.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A registry of metrics. Clones share it.
///
/// # Errors
/// Each function fails if another metric has the same name.
#[derive(Clone, Debug, Default)]
pub struct Registry(prometheus::Registry);

impl Registry {
    /// Creates a registry with the metric `batchtask_build_info`.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Self::default();
        let build_info = Opts::new("batchtask_build_info", "The version of batchtask.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        registry.register(IntGauge::with_opts(build_info)?)?.set(1);
        Ok(registry)
    }

    /// Registers a counter.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    /// Registers a family of counters, with a counter for each value of `label`.
    /// The caller must keep the number of values bounded.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    /// Registers a gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    /// Registers a histogram of durations for each value of `label`.
    pub fn durations(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<HistogramVec, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(SECONDS.into());
        self.register(HistogramVec::new(opts, &[label])?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.into());
        self.register(Histogram::with_opts(opts)?)
    }

    /// Registers an existing metric.
    pub fn register<C: Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gather(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }

    /// Returns all metrics in Prometheus' text format: the registered ones, and
    /// those that are computed now.
    pub(crate) fn render(
        &self,
        stats: &Stats,
        measures: &[Measure],
        tasks: Option<&Summary>,
    ) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = self.gather();
        families.extend(process::metrics()?.gather());
        families.extend(journal_metrics(stats, measures)?.gather());
        if let Some(tasks) = tasks {
            families.extend(task_metrics(tasks)?.gather());
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// Metrics of a journal's commits.
pub struct CommitMetrics {
    seconds: Histogram,
    writes: Histogram,
}

impl CommitMetrics {
    /// Registers the metrics of commits. Pass the result to
    /// [`GroupCommit::new`](batchtask_journal::GroupCommit::new).
    ///
    /// # Errors
    /// Another metric has the same name.
    pub fn register(registry: &Registry) -> Result<Arc<Self>, prometheus::Error> {
        Ok(Arc::new(Self {
            seconds: registry.histogram(
                "batchtask_journal_commit_duration_seconds",
                "How long a commit takes, including the sync to disk.",
                SECONDS,
            )?,
            writes: registry.histogram(
                "batchtask_journal_commit_writes",
                "How many writes a commit contains.",
                WRITES,
            )?,
        }))
    }
}

impl Observer for CommitMetrics {
    fn committed(&self, writes: usize, elapsed: Duration) {
        self.seconds.observe(elapsed.as_secs_f64());
        self.writes.observe(writes as f64);
    }
}

/// Returns the journal's counters and gauges.
fn journal_metrics(stats: &Stats, measures: &[Measure]) -> Result<Registry, prometheus::Error> {
    let registry = Registry::default();
    for (name, help, value) in [
        ("batchtask_journal_commits_total", "Commits.", stats.commits),
        (
            "batchtask_journal_failed_commits_total",
            "Commits that failed.",
            stats.failed_commits,
        ),
        (
            "batchtask_journal_recorded_total",
            "New events and quarantined bodies that were stored.",
            stats.recorded,
        ),
        (
            "batchtask_journal_duplicates_total",
            "Events that were already stored.",
            stats.duplicates,
        ),
        (
            "batchtask_journal_replays_total",
            "Writes refused because their signature was used before.",
            stats.replays,
        ),
    ] {
        registry.counter(name, help)?.inc_by(value);
    }
    registry
        .gauge(
            "batchtask_journal_waiting_writes",
            "Writes that wait for a commit now.",
        )?
        .set(signed(stats.waiting as u64));
    for measure in measures {
        match measure.kind {
            MeasureKind::Counter => {
                registry
                    .counter(measure.name, measure.help)?
                    .inc_by(measure.value);
            }
            MeasureKind::Gauge => {
                registry
                    .gauge(measure.name, measure.help)?
                    .set(signed(measure.value));
            }
        }
    }
    Ok(registry)
}

/// Returns the metrics of tasks. The label is the class and not the status,
/// because a status may be any text.
fn task_metrics(summary: &Summary) -> Result<Registry, prometheus::Error> {
    let registry = Registry::default();
    let opts = Opts::new("batchtask_tasks", "Tasks, by class of their status.");
    let tasks = registry.register(IntGaugeVec::new(opts, &["class"])?)?;
    for class in [Class::Open, Class::Retryable, Class::Final] {
        tasks.with_label_values(&[class.name()]).set(0);
    }
    for count in &summary.statuses {
        let class = Class::of_rank(count.rank).name();
        tasks.with_label_values(&[class]).add(signed(count.tasks));
    }
    if let Some(stale) = summary.stale {
        let help = "Open tasks with no new event for longer than BATCHTASK_STALE_AFTER_S.";
        registry
            .gauge("batchtask_stale_tasks", help)?
            .set(signed(stale));
    }
    if let Some(at_ms) = summary.last_received_at_ms {
        let name = "batchtask_last_notification_timestamp_seconds";
        let help = "When a notification last arrived, in seconds since 1970.";
        let gauge = registry.register(Gauge::new(name, help)?)?;
        gauge.set(Duration::from_millis(at_ms).as_secs_f64());
    }
    Ok(registry)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
