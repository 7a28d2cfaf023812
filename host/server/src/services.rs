//! Services: parts of a program that run concurrently. They start in order, are
//! restarted if they end unexpectedly, and stop in reverse order.

use std::future::Future;
use std::time::Duration;

use prometheus::IntCounterVec;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Registry;

/// The first pause before a restart; it doubles with each restart.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// After running this long, a service restarts with the shortest pause again.
const STEADY: Duration = Duration::from_secs(60);

/// A token that is cancelled when a service must stop.
pub type Stop = CancellationToken;

/// The running services of a program.
pub struct Services {
    restarts: IntCounterVec,
    running: Vec<Service>,
}

struct Service {
    name: &'static str,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Services {
    /// Creates an empty list of services, and registers the restart counter.
    ///
    /// # Errors
    /// Another metric has the counter's name.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            restarts: registry.counters(
                "batchtask_service_restarts_total",
                "Restarts of services that ended unexpectedly.",
                "service",
            )?,
            running: Vec::new(),
        })
    }

    /// Starts a service. If `run` returns or panics before its stop token is
    /// cancelled, it is called again after a pause.
    pub fn start<F>(&mut self, name: &'static str, run: impl Fn(Stop) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = Stop::new();
        let restarts = self.restarts.with_label_values(&[name]);
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                let started = tokio::time::Instant::now();
                // `run` gets its own task, so that a panic does not end this loop.
                let ended = tokio::spawn(run(stopped.clone())).await;
                if stopped.is_cancelled() {
                    return;
                }
                if started.elapsed() >= STEADY {
                    pause = PAUSE_MIN;
                }
                let reason = if ended.is_err() {
                    "panicked"
                } else {
                    "ended unexpectedly"
                };
                tracing::error!("the service `{name}` {reason}; it restarts in {pause:?}");
                restarts.inc();
                tokio::select! {
                    () = tokio::time::sleep(jittered(pause)) => {}
                    () = stopped.cancelled() => return,
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
        self.running.push(Service { name, stop, task });
    }

    /// Stops the services in reverse order, and waits for each to end.
    pub async fn stop(self) {
        for service in self.running.into_iter().rev() {
            tracing::debug!("stopping the service `{}`", service.name);
            service.stop.cancel();
            // This cannot fail, because panics of the service are caught.
            let _ = service.task.await;
        }
    }
}

/// Returns a random duration between half of `pause` and `pause`, so that hosts
/// that failed at the same time do not restart at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn services_stop_in_reverse_order() {
        let registry = Registry::default();
        let mut services = Services::new(&registry).unwrap();
        let stopped = Arc::<Mutex<Vec<_>>>::default();
        for name in ["journal", "http", "admin"] {
            let stopped = stopped.clone();
            services.start(name, move |stop| {
                let stopped = stopped.clone();
                async move {
                    stop.cancelled().await;
                    stopped.lock().unwrap().push(name);
                }
            });
        }
        tokio::task::yield_now().await;
        services.stop().await;
        assert_eq!(*stopped.lock().unwrap(), ["admin", "http", "journal"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_panics_or_returns_starts_again() {
        let registry = Registry::default();
        let mut services = Services::new(&registry).unwrap();
        let (sender, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::<AtomicUsize>::default();
        services.start("flaky", move |stop| {
            let (sender, start) = (sender.clone(), count.fetch_add(1, Relaxed));
            async move {
                sender.send(start).unwrap();
                match start {
                    0 => panic!("a bug"),
                    1 => (),
                    _ => stop.cancelled().await,
                }
            }
        });
        for expected in 0..3 {
            assert_eq!(starts.recv().await, Some(expected));
        }
        let restarts = services.restarts.with_label_values(&["flaky"]);
        assert_eq!(restarts.get(), 2);
        services.stop().await;
    }
}
