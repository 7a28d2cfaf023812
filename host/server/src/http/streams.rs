//! The requests of an HTTP/2 connection. Each has a place in the crowd of unfinished
//! requests, from its head to the end of its answer. If the client does not read the
//! answer, the stream is reset.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use prometheus::IntCounter;
use tokio::sync::Notify;

use super::crowd::{Crowd, Hold, Member, Peer};

tokio::task_local! {
    /// The stream of the request that the current task answers.
    static STREAM: Arc<Stream>;
}

/// One request of an HTTP/2 connection.
pub(crate) struct Stream {
    member: Member,
    hold: OnceLock<Hold>,
    /// When hyper last took a piece of the answer, or `None` before the answer.
    moved: Mutex<Option<Instant>>,
    has_answer: Notify,
}

/// hyper's executor, which runs the requests of an HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) unfinished: Crowd,
    pub(crate) peer: Peer,
    /// How long a client may take no part of an answer.
    pub(crate) write_time: Duration,
    pub(crate) evictions: IntCounter,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        // If all other requests are being answered, there is no place, and the stream
        // is reset.
        let Some(member) = self.unfinished.enter(self.peer) else {
            return;
        };
        let stream = Arc::new(Stream {
            member,
            hold: OnceLock::new(),
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
                    tracing::debug!("reset an HTTP/2 stream: the client did not read its answer");
                }
            }
        });
    }
}

impl Stream {
    /// Returns the stream of the request that the current task answers. Returns
    /// `None` for HTTP/1.1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    pub(crate) fn member(&self) -> &Member {
        &self.member
    }

    /// Protects the place from eviction until the answer's end, because the sender has
    /// passed the checks.
    pub(crate) fn keep(&self) {
        self.hold.get_or_init(|| self.member.hold());
    }

    /// Records that the answer has begun, or that hyper took a piece of it.
    pub(crate) fn moved(&self) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.replace(Instant::now()).is_none() {
            self.has_answer.notify_one();
        }
    }

    /// Resolves when no piece of the answer has been taken for `write_time`.
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
