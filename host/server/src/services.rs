//! The parts of a program that run beside each other: they start in order,
//! start again if they end by mistake, and stop in the reverse order.

use std::future::Future;
use std::time::Duration;

use prometheus::IntCounterVec;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Registry;

/// The first pause before a service starts again; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause before a service starts again.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A service that ran for this long starts again after the shortest pause.
const STEADY: Duration = Duration::from_secs(60);

/// Tells a service when to stop.
pub type Stop = CancellationToken;

/// The services of a program.
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
    /// No services yet.
    ///
    /// # Errors
    /// Another metric has the name of the counter of restarts.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            restarts: registry.counters(
                "batchtask_service_restarts_total",
                "Services that ended by mistake and were started again.",
                "service",
            )?,
            running: Vec::new(),
        })
    }

    /// Starts a service. `run` is called again, after a pause, if it returns
    /// or panics before its stop token is cancelled.
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
                // A panic ends a task of its own, and not this loop.
                let ended = tokio::spawn(run(stopped.clone())).await;
                if stopped.is_cancelled() {
                    return;
                }
                if started.elapsed() >= STEADY {
                    pause = PAUSE_MIN;
                }
                let reason = if ended.is_err() { "panicked" } else { "ended" };
                tracing::error!("service `{name}` {reason}; it starts again in {pause:?}");
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

    /// Stops every service, the last one first, and waits for each.
    pub async fn stop(self) {
        for service in self.running.into_iter().rev() {
            tracing::debug!("service `{}` stops", service.name);
            service.stop.cancel();
            // It cannot fail: panics of the service are caught.
            let _ = service.task.await;
        }
    }
}

/// Between half and all of a pause, so that hosts that failed together do not
/// start again together.
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
