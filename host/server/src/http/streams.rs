//! The requests of an HTTP/2 connection. Each has a place among the unfinished
//! ones from its head to the end of its answer, and its answer must be taken.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::crowd::{Crowd, Hold, Member, Peer};

tokio::task_local! {
    /// The stream whose request is being answered.
    static STREAM: Arc<Stream>;
}

/// One request of an HTTP/2 connection.
pub(crate) struct Stream {
    member: Member,
    kept: OnceLock<Hold>,
    /// When a piece of the answer was last asked for. `None` before the answer.
    moved: Mutex<Option<Instant>>,
    has_answer: Notify,
}

/// Runs the requests of a connection, as hyper's executor.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) unfinished: Crowd,
    pub(crate) peer: Peer,
    /// How long no piece of an answer may be taken.
    pub(crate) write_time: Duration,
    pub(crate) evictions: IntCounter,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        // Without a place the stream is reset: all others are being answered.
        let Some(member) = self.unfinished.enter(self.peer) else {
            return;
        };
        let stream = Arc::new(Stream {
            member,
            kept: OnceLock::new(),
            moved: Mutex::default(),
            has_answer: Notify::new(),
        });
        let (write_time, evictions) = (self.write_time, self.evictions.clone());
        tokio::spawn(async move {
            // Dropping a request resets its stream.
            tokio::select! {
                biased;
                () = STREAM.scope(stream.clone(), request) => {}
                () = stream.member.evicted() => evictions.inc(),
                () = stream.stalled(write_time) => {
                    tracing::debug!("an answer was not taken");
                }
            }
        });
    }
}

impl Stream {
    /// The stream that the caller answers. `None` with HTTP/1.1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    /// Keeps the place for good: the sender was let in.
    pub(crate) fn keep(&self) {
        self.kept.get_or_init(|| self.member.hold());
    }

    /// Notes that the answer, or a piece of it, is on its way.
    pub(crate) fn moved(&self) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.replace(Instant::now()).is_none() {
            self.has_answer.notify_one();
        }
    }

    /// Resolves when no piece of the answer was taken for this long.
    async fn stalled(&self, write_time: Duration) {
        self.has_answer.notified().await;
        loop {
            let moved = *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = moved.map_or(Duration::ZERO, |moved| moved.elapsed());
            let Some(left) = write_time.checked_sub(idle).filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::time::sleep(left).await;
        }
    }
}
