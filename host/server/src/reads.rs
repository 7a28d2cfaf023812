//! Limits on reads, so that they do not delay notifications: a number of reads
//! at once, each until its answer has been sent, and one that computes at a time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::{GaugeGuard, Registry};

/// Limits how many reads run at once.
pub(crate) struct Reads {
    permits: Arc<Semaphore>,
    /// The permit to compute.
    turn: Semaphore,
    under_way: IntGauge,
}

/// A running read. Keep it until the answer has been sent, because the answer
/// stays in memory until then.
pub(crate) struct Read {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl Reads {
    pub(crate) fn register(at_once: usize, registry: &Registry) -> Result<Self, prometheus::Error> {
        let under_way = registry.gauge(
            "batchtask_reads",
            "Reads that are being computed or sent now.",
        )?;
        Ok(Self::new(at_once, under_way))
    }

    fn new(at_once: usize, under_way: IntGauge) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once)),
            turn: Semaphore::new(1),
            under_way,
        }
    }

    /// Begins a read. Returns `None` if too many are running.
    pub(crate) fn begin(&self) -> Option<Read> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        Some(Read {
            _permit: permit,
            _counted: GaugeGuard::new(&self.under_way),
        })
    }

    /// Runs the work of a read, but polls it only while no other read computes.
    /// So all reads together keep at most one thread busy, in slices of time, and
    /// the other threads are free for notifications. The journal runs its reads
    /// on its own threads, with its own limits.
    pub(crate) async fn in_turn<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let turn = self.turn.acquire().await;
            let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
            drop(turn);
            if let Poll::Ready(done) = polled {
                return done;
            }
            wait_for_wake().await;
        }
    }
}

/// Waits until this task is woken.
async fn wait_for_wake() {
    let mut has_slept = false;
    poll_fn(|_| {
        if std::mem::replace(&mut has_slept, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Returns the bytes of an answer, which hold `read` until they are dropped.
pub(crate) fn body(bytes: Vec<u8>, read: Read) -> Bytes {
    Bytes::from_owner(Body { bytes, _read: read })
}

struct Body {
    bytes: Vec<u8>,
    _read: Read,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_read_computes_at_a_time_and_waiting_reads_do_not_block() {
        let gauge = IntGauge::new("reads", "reads").unwrap();
        let reads = Arc::new(Reads::new(8, gauge));
        let (computing, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let waits = reads.in_turn(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::ZERO, waits).await.is_err());
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (reads, computing, done) = (reads.clone(), computing.clone(), done.clone());
            all.spawn(async move {
                let work = async {
                    for _ in 0..20 {
                        assert_eq!(computing.fetch_add(1, SeqCst), 0);
                        std::thread::sleep(Duration::from_micros(200));
                        computing.fetch_sub(1, SeqCst);
                        tokio::task::yield_now().await;
                    }
                };
                reads.in_turn(work).await;
                done.fetch_add(1, SeqCst);
            });
        }
        all.join_all().await;
        assert_eq!(done.load(SeqCst), 8);
    }
}
