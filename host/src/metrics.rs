//! What the host counts, in Prometheus' terms.

use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::Class;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::journal::Summary;
use crate::journal::sqlite::{Observer, Stats};
use crate::receiver::Report;

/// Upper bounds in seconds: from a commit on a fast disk to the 15 s after
/// which the platform gives up.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0,
];

/// Upper bounds of how many writes share a commit.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// One of what a gauge counts, for as long as it lives, however it ends.
pub(crate) struct Counted(IntGauge);

impl Counted {
    pub(crate) fn in_gauge(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    signatures: IntCounterVec,
    pub(crate) connections: IntGauge,
    pub(crate) in_flight: IntGauge,
    pub(crate) reads: IntGauge,
    pub(crate) instances: IntGauge,
    pub(crate) instantiations: IntCounter,
    pub(crate) failures: IntCounter,
    commits: Commits,
}

/// What the journal's writer reports.
struct Commits {
    seconds: Histogram,
    writes: Histogram,
}

impl Observer for Commits {
    fn committed(&self, writes: usize, elapsed: Duration) {
        self.seconds.observe(elapsed.as_secs_f64());
        self.writes.observe(writes as f64);
    }
}

impl Metrics {
    /// Counts of nothing yet. Fails only if two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let build_info = Opts::new("batchtask_build_info", "Which build this is.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        register(r, IntGauge::with_opts(build_info)?)?.set(1);
        let requests = Opts::new(
            "batchtask_requests_total",
            "Requests, by what they came to.",
        );
        let durations = HistogramOpts::new(
            "batchtask_request_duration_seconds",
            "From the end of a header to the answer, by method.",
        );
        let signatures = Opts::new(
            "batchtask_signatures_total",
            "Notifications whose signature was looked at, by what was found.",
        );
        let commit_seconds = HistogramOpts::new(
            "batchtask_journal_commit_duration_seconds",
            "How long commits take, the sync included.",
        );
        let commit_writes = HistogramOpts::new(
            "batchtask_journal_commit_writes",
            "How many writes share a commit.",
        );
        Ok(Self {
            requests: register(r, IntCounterVec::new(requests, &["outcome"])?)?,
            durations: register(
                r,
                HistogramVec::new(durations.buckets(SECONDS.into()), &["method"])?,
            )?,
            signatures: register(r, IntCounterVec::new(signatures, &["finding"])?)?,
            connections: register(r, gauge("batchtask_connections", "Connections open now.")?)?,
            in_flight: register(
                r,
                gauge(
                    "batchtask_in_flight_requests",
                    "Requests being read or answered now.",
                )?,
            )?,
            reads: register(
                r,
                gauge(
                    "batchtask_reads",
                    "Reads being answered, or whose answers are being taken, now.",
                )?,
            )?,
            instances: register(
                r,
                gauge(
                    "batchtask_instances",
                    "Instances of the component alive now.",
                )?,
            )?,
            instantiations: register(
                r,
                counter(
                    "batchtask_instantiations_total",
                    "Instances of the component made.",
                )?,
            )?,
            failures: register(
                r,
                counter(
                    "batchtask_component_failures_total",
                    "Calls into the component that trapped, or found no instance.",
                )?,
            )?,
            commits: Commits {
                seconds: register(
                    r,
                    Histogram::with_opts(commit_seconds.buckets(SECONDS.into()))?,
                )?,
                writes: register(
                    r,
                    Histogram::with_opts(commit_writes.buckets(WRITES.into()))?,
                )?,
            },
            registry,
        })
    }

    /// What the journal is to be opened with, so that its commits are counted.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Commits {
            seconds: self.commits.seconds.clone(),
            writes: self.commits.writes.clone(),
        })
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, method: &str, report: &Report, elapsed: Duration) {
        self.requests.with_label_values(&[&report.outcome]).inc();
        let duration = self.durations.with_label_values(&[method]);
        duration.observe(elapsed.as_secs_f64());
        if let Some(finding) = &report.signature {
            self.signatures.with_label_values(&[finding]).inc();
        }
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn render(
        &self,
        journal: &Stats,
        tasks: Option<&Summary>,
    ) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(journal_registry(journal)?.gather());
        if let Some(tasks) = tasks {
            families.extend(tasks_registry(tasks)?.gather());
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// The journal's own counts, as they are now.
fn journal_registry(stats: &Stats) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    for (name, help, value) in [
        ("commits_total", "Commits.", stats.commits),
        (
            "failed_commits_total",
            "Commits that failed.",
            stats.failed_commits,
        ),
        (
            "recorded_total",
            "Events and rejects recorded.",
            stats.recorded,
        ),
        (
            "duplicates_total",
            "Events that were there before.",
            stats.duplicates,
        ),
        (
            "replays_total",
            "Writes refused for a nonce used before.",
            stats.replays,
        ),
        (
            "quarantine_dropped_total",
            "Rejects dropped to keep the quarantine within its bound.",
            stats.quarantine_dropped,
        ),
    ] {
        let counter = counter(&format!("batchtask_journal_{name}"), help)?;
        register(&registry, counter)?.inc_by(value);
    }
    for (name, help, value) in [
        (
            "waiting_writes",
            "Writes that wait for a commit now.",
            stats.waiting as u64,
        ),
        (
            "wal_bytes",
            "Size of the write-ahead log now.",
            stats.wal_bytes,
        ),
        (
            "quarantine_bytes",
            "Size of the quarantine now.",
            stats.quarantine_bytes,
        ),
    ] {
        let gauge = gauge(&format!("batchtask_journal_{name}"), help)?;
        register(&registry, gauge)?.set(signed(value));
    }
    Ok(registry)
}

/// The tasks as they are now. By class, for a status may be any text.
fn tasks_registry(summary: &Summary) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    let opts = Opts::new("batchtask_tasks", "Tasks, by class of their status.");
    let tasks = register(&registry, IntGaugeVec::new(opts, &["class"])?)?;
    for class in [Class::Open, Class::Retryable, Class::Final] {
        tasks.with_label_values(&[class.name()]).set(0);
    }
    for count in &summary.statuses {
        let class = Class::of_rank(count.rank).name();
        tasks.with_label_values(&[class]).add(signed(count.tasks));
    }
    if let Some(stale) = summary.stale {
        let help = "Open tasks that have been silent longer than BATCHTASK_STALE_AFTER_S.";
        let gauge = gauge("batchtask_stale_tasks", help)?;
        register(&registry, gauge)?.set(signed(stale));
    }
    if let Some(at_ms) = summary.last_received_at_ms {
        let name = "batchtask_last_notification_timestamp_seconds";
        let help = "When a notification last arrived, in seconds since 1970.";
        let gauge = register(&registry, Gauge::new(name, help)?)?;
        gauge.set(Duration::from_millis(at_ms).as_secs_f64());
    }
    Ok(registry)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn counter(name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    IntCounter::new(name, help)
}

fn gauge(name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    IntGauge::new(name, help)
}

fn register<C>(registry: &Registry, metric: C) -> Result<C, prometheus::Error>
where
    C: Collector + Clone + 'static,
{
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
