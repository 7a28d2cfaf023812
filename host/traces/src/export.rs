//! [`Export`]: sends what waits to the collector.

use std::time::Duration;

use batchtask_span::{Span, Tracer};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::collector::{Collector, Failure};
use crate::metrics::Metrics;
use crate::options::{OptionError, Options};
use crate::otlp;
use crate::queue::Queue;

/// The first pause before a message is sent again. It doubles with each failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause, also if the collector asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a message is tried before it is dropped. Meanwhile further spans wait.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// The export to a collector, which runs until it is finished. Dropping it ends it at once.
pub struct Export {
    tracer: Tracer,
    stop: CancellationToken,
    /// `None` once it was finished.
    task: Option<JoinHandle<()>>,
}

impl Export {
    /// Checks options, also whether the authorities can be used.
    ///
    /// # Errors
    /// The first option that cannot be used. Shows no secret.
    pub fn check(options: &Options) -> Result<(), OptionError> {
        Collector::new(options).map(drop)
    }

    /// Starts to export. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The first option that cannot be used.
    pub fn start(options: Options, metrics: Metrics) -> Result<Self, OptionError> {
        let collector = Collector::new(&options)?;
        tracing::info!("traces: spans are sent to {}", collector.origin());
        let queue = Queue::new(options.sample, metrics.clone());
        let stop = CancellationToken::new();
        let exporter = Exporter {
            collector,
            resource: options.resource,
            queue: queue.clone(),
            metrics,
            stop: stop.clone(),
            has_failed: false,
        };
        Ok(Self {
            tracer: Tracer::new(queue),
            stop,
            task: Some(tokio::spawn(exporter.run())),
        })
    }

    /// Returns the tracer whose spans are exported.
    pub fn tracer(&self) -> Tracer {
        self.tracer.clone()
    }

    /// Sends what waits, for at most `limit`, and ends. A collector that failed before gets
    /// no other try.
    pub async fn finish(mut self, limit: Duration) {
        self.stop.cancel();
        let Some(mut task) = self.task.take() else {
            return;
        };
        if timeout(limit, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("traces: the last spans were not exported in time");
        }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Exporter {
    collector: Collector,
    resource: Vec<(String, String)>,
    queue: Queue,
    metrics: Metrics,
    stop: CancellationToken,
    /// Whether the last message was not taken.
    has_failed: bool,
}

impl Exporter {
    async fn run(mut self) {
        let (stop, queue) = (self.stop.clone(), self.queue.clone());
        while stop.run_until_cancelled(queue.batch_is_ready()).await == Some(()) {
            self.export_next().await;
        }
        while self.export_next().await {}
    }

    /// Exports the next message. Returns whether there was one.
    async fn export_next(&mut self) -> bool {
        let spans = self.queue.take();
        let count = i64::try_from(spans.len()).unwrap_or(i64::MAX);
        if count > 0 {
            self.export(spans).await;
            self.metrics.waiting.sub(count);
        }
        count > 0
    }

    /// Exports spans, or drops them after some attempts. After the stop there is only one
    /// attempt, and none if the collector failed before.
    async fn export(&mut self, spans: Vec<Span>) {
        let message: bytes::Bytes = otlp::request(&self.resource, &spans).into();
        let count = spans.len() as u64;
        // They are in the message.
        drop(spans);
        let give_up_at = Instant::now() + RETRY_TIME;
        let mut pause = PAUSE_MIN;
        loop {
            if self.has_failed && self.stop.is_cancelled() {
                break;
            }
            let failure = match self.collector.send(message.clone()).await {
                Ok(taken) => {
                    let rejected = taken.rejected.min(count);
                    self.metrics.exported.inc_by(count - rejected);
                    self.metrics.failed.inc_by(rejected);
                    if rejected == 0 {
                        self.works();
                    } else {
                        let reason = taken.reason;
                        self.fails(&format!("the collector rejected {rejected}: {reason}"));
                    }
                    return;
                }
                Err(failure) => failure,
            };
            self.fails(&failure.text);
            let Failure {
                retry: Some(asked), ..
            } = failure
            else {
                break;
            };
            let wait = asked.unwrap_or(pause).clamp(PAUSE_MIN, PAUSE_MAX);
            pause = (pause * 2).min(PAUSE_MAX);
            if Instant::now() + wait > give_up_at {
                break;
            }
            self.stop.run_until_cancelled(sleep(wait)).await;
        }
        self.metrics.failed.inc_by(count);
    }

    /// Reports that the collector works again.
    fn works(&mut self) {
        if std::mem::take(&mut self.has_failed) {
            tracing::info!("traces: spans are exported again");
        }
    }

    /// Reports a failure, unless the last message failed, too.
    fn fails(&mut self, error: &str) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let origin = self.collector.origin();
            tracing::warn!("traces: spans are not exported to {origin}: {error}");
        }
    }
}
