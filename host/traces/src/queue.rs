//! [`Queue`]: the spans that wait for their export.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batchtask_span::{Recorder, Span};
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// How many spans may wait. A span of this host takes about a kilobyte.
pub(crate) const SPANS_MAX: usize = 4096;
/// The most spans in a message.
pub(crate) const BATCH_SPANS: usize = 512;
/// How long the first span of a message waits for others.
const BATCH_TIME: Duration = Duration::from_millis(500);

/// The bits of a trace id that decide whether it is recorded. Other tracing systems use the
/// same, so that they decide the same.
const RANDOM_BITS: u32 = 56;

/// The spans that wait for their export. Clones share them.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    waiting: Mutex<VecDeque<Span>>,
    arrived: Notify,
    /// A trace is recorded if the bits of its id are below this.
    threshold: u64,
    metrics: Metrics,
}

impl Queue {
    /// Returns an empty queue. `sample` is the part of traces that are recorded.
    pub(crate) fn new(sample: f64, metrics: Metrics) -> Self {
        let ids = (1_u64 << RANDOM_BITS) as f64;
        Self(Arc::new(Shared {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            threshold: (sample.clamp(0.0, 1.0) * ids) as u64,
            metrics,
        }))
    }

    /// Waits until a message can be sent: there are enough spans, or the first has waited.
    pub(crate) async fn batch_is_ready(&self) {
        while self.waiting().is_empty() {
            self.0.arrived.notified().await;
        }
        let enough = async {
            while self.waiting().len() < BATCH_SPANS {
                self.0.arrived.notified().await;
            }
        };
        let _ = tokio::time::timeout(BATCH_TIME, enough).await;
    }

    /// Takes the spans of the next message. There may be none. They still count as waiting.
    pub(crate) fn take(&self) -> Vec<Span> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(BATCH_SPANS);
        waiting.drain(..count).collect()
    }

    /// Locks the queue. Nothing panics while it is locked.
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Span>> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder for Queue {
    fn samples(&self, trace_id: u128) -> bool {
        let bits = (1 << RANDOM_BITS) - 1;
        (trace_id as u64 & bits) < self.0.threshold
    }

    fn record(&self, span: Span) {
        let mut waiting = self.waiting();
        if waiting.len() >= SPANS_MAX {
            drop(waiting);
            self.0.metrics.no_room.inc();
            return;
        }
        waiting.push_back(span);
        let count = waiting.len();
        self.0.metrics.waiting.inc();
        drop(waiting);
        if count == 1 || count == BATCH_SPANS {
            self.0.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use batchtask_span::{Kind, Tracer};

    use super::*;

    fn queue(sample: f64) -> (Queue, Metrics) {
        let metrics = Metrics::new().unwrap();
        (Queue::new(sample, metrics.clone()), metrics)
    }

    fn record(queue: &Queue, count: usize) {
        let tracer = Tracer::new(queue.clone());
        for _ in 0..count {
            drop(tracer.begin(None, Kind::Server, || "a".into()));
        }
    }

    #[test]
    fn the_ratio_decides() {
        let (none, _) = queue(0.0);
        let (all, _) = queue(1.0);
        assert!(!none.samples(0));
        assert!(all.samples(u128::MAX));
        let (some, metrics) = queue(0.25);
        let expected = 100_000 / 4;
        let mut found = 0;
        for _ in 0..100 {
            record(&some, 1000);
            found += some.take().len();
        }
        assert!(found.abs_diff(expected) < 1000, "{found}");
        assert_eq!(metrics.no_room.get(), 0);
    }

    #[test]
    fn several_hosts_decide_the_same() {
        // The last 7 bytes decide.
        let (half, _) = queue(0.5);
        assert!(half.samples(0xffff_ffff_ffff_ffff_ff7f_ffff_ffff_ffff));
        assert!(!half.samples(0x0000_0000_0000_0000_0080_0000_0000_0000));
    }

    #[test]
    fn spans_beyond_the_bound_are_dropped_and_counted() {
        let (queue, metrics) = queue(1.0);
        record(&queue, SPANS_MAX + 3);
        assert_eq!(metrics.no_room.get(), 3);
        assert_eq!(metrics.waiting.get(), 4096);
        let mut taken = 0;
        loop {
            let batch = queue.take();
            assert!(batch.len() <= BATCH_SPANS);
            if batch.is_empty() {
                break;
            }
            taken += batch.len();
        }
        assert_eq!(taken, SPANS_MAX);
        assert_eq!(metrics.waiting.get(), 4096, "they are not exported yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_waits_for_more_but_not_for_long() {
        let (queue, _) = queue(1.0);
        record(&queue, 1);
        let started = tokio::time::Instant::now();
        queue.batch_is_ready().await;
        assert_eq!(started.elapsed(), BATCH_TIME);
        record(&queue, BATCH_SPANS);
        let started = tokio::time::Instant::now();
        queue.batch_is_ready().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
