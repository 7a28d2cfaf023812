//! Lets connections end when the listener stops. An idle connection is not closed
//! at once, because a request may be on its way. Its next answer says that it is
//! the last one.

use http::{HeaderValue, Response, header};
use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::limits::Limits;

/// The phases of a listener.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Connections are served.
    Open,
    /// The next answer on a connection is its last one.
    Closing,
    /// Idle connections are closed.
    Ending,
}

/// Ends all connections of a listener, and waits for them.
pub(super) struct Drain(watch::Sender<Phase>);

/// A connection's view of the phase. The drain waits until all watchers are
/// dropped.
#[derive(Clone)]
pub(super) struct Watcher(watch::Receiver<Phase>);

impl Drain {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Open))
    }

    pub(super) fn watcher(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }

    /// Lets connections end: busy ones after their request, idle ones after their
    /// next answer or the hand-over time. Returns whether all of them ended within
    /// the drain time.
    pub(super) async fn run(self, limits: &Limits) -> bool {
        let end = Instant::now() + limits.drain_time();
        let ending = end.min(Instant::now() + limits.handover_time());
        self.0.send_replace(Phase::Closing);
        if timeout_at(ending, self.0.closed()).await.is_ok() {
            return true;
        }
        self.0.send_replace(Phase::Ending);
        timeout_at(end, self.0.closed()).await.is_ok()
    }
}

impl Watcher {
    /// Adds `connection: close` to an HTTP/1 answer if the listener is stopping.
    pub(super) fn mark<B>(&self, answer: &mut Response<B>) {
        if *self.0.borrow() >= Phase::Closing {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
    }

    /// Serves a connection to its end. When the listener stops, an idle connection
    /// stays open until the hand-over time has passed.
    pub(super) async fn http1<C: GracefulConnection>(self, connection: C) -> Result<(), C::Error> {
        self.serve(connection, Phase::Ending).await
    }

    /// Serves a connection to its end. When the listener stops, GOAWAY is sent at
    /// once, because requests that are on their way are still answered.
    pub(super) async fn http2<C: GracefulConnection>(self, connection: C) -> Result<(), C::Error> {
        self.serve(connection, Phase::Closing).await
    }

    async fn serve<C: GracefulConnection>(
        mut self,
        connection: C,
        last: Phase,
    ) -> Result<(), C::Error> {
        let mut connection = Box::pin(connection);
        tokio::select! {
            // Poll the connection first, so that a request that has arrived is served.
            biased;
            served = &mut connection => return served,
            () = self.reached(last) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }

    /// Resolves when the listener is stopping.
    pub(super) async fn closing(mut self) {
        self.reached(Phase::Closing).await;
    }

    async fn reached(&mut self, last: Phase) {
        // This fails only after the drain was dropped, when nothing is served.
        let _ = self.0.wait_for(|phase| *phase >= last).await;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

    /// A connection that is served, and answered without a body.
    fn connect(drain: &Drain) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 10);
        let watcher = drain.watcher();
        let marker = watcher.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let mut answer = Response::new(Empty::<Bytes>::new());
            marker.mark(&mut answer);
            async { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        tokio::spawn(watcher.http1(connection));
        ours
    }

    async fn exchange(stream: &mut DuplexStream) -> String {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = vec![0; 1 << 10];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_answered_once_more_and_then_closed() {
        let drain = Drain::new();
        let mut stream = connect(&drain);
        assert!(!exchange(&mut stream).await.contains("connection: close"));
        let started = Instant::now();
        let drained = tokio::spawn(async move { drain.run(&Limits::DEFAULT).await });
        tokio::time::sleep(Limits::DEFAULT.handover_time() / 2).await;
        let answer = exchange(&mut stream).await;
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        assert!(drained.await.unwrap());
        assert!(started.elapsed() < Limits::DEFAULT.handover_time());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stays_idle_is_closed_after_the_hand_over_time() {
        let drain = Drain::new();
        let mut stream = connect(&drain);
        exchange(&mut stream).await;
        let started = Instant::now();
        assert!(drain.run(&Limits::DEFAULT).await);
        assert_eq!(started.elapsed(), Limits::DEFAULT.handover_time());
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_drain_takes_longer_than_its_time() {
        let drain = Drain::new();
        let watcher = drain.watcher();
        let limits = Limits {
            drain_seconds: 1,
            ..Limits::DEFAULT
        };
        let started = Instant::now();
        assert!(!drain.run(&limits).await);
        assert_eq!(started.elapsed(), limits.drain_time());
        drop(watcher);
    }
}
