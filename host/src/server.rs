//! The public listener: HTTP on one side, the receiver on the other.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_guest::outcomes::{Refusal, Success};
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectReader;

use crate::answers::{bad_request, http_response, known, log};
use crate::framing::{Framing, Requests};
use crate::limits::{HEADER_FIELDS, HTTP2_STREAMS, Limits};
use crate::metrics::{Counted, Metrics};
use crate::reads::{Read, Reads};
use crate::receiver::{Receiver, Request, Response, refusal};
use crate::stream::{Answering, Guarded};
use crate::tls::Tls;

/// What one connection too many is told; a client of TLS is told nothing.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// A pause when no connection can be taken for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// What a request is refused with whose body, if it has one, may not have been
/// read to its end.
const UNREAD: [Refusal; 5] = [
    Refusal::BodyTooLarge,
    Refusal::BodyIncomplete,
    Refusal::BodyTimeout,
    Refusal::Slow,
    Refusal::Overloaded,
];

/// Serves a receiver over HTTP.
pub struct Server {
    receiver: Arc<Receiver>,
    max_body_bytes: usize,
    limits: Limits,
    metrics: Arc<Metrics>,
    tls: Option<Tls>,
    connections: Arc<Semaphore>,
    in_flight: Semaphore,
    reads: Reads,
}

impl Server {
    /// A server that reads no more than `max_body_bytes` of a body, and speaks
    /// TLS if it is given certificates.
    pub fn new(
        receiver: Arc<Receiver>,
        max_body_bytes: usize,
        limits: Limits,
        metrics: Arc<Metrics>,
        tls: Option<Tls>,
    ) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            in_flight: Semaphore::new(limits.max_in_flight),
            reads: Reads::new(limits.max_reads, metrics.reads.clone()),
            receiver,
            max_body_bytes,
            limits,
            metrics,
            tls,
        }
    }

    /// Accepts connections until `stop` resolves, then lets what is in flight
    /// end.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let graceful = GracefulShutdown::new();
        let mut stop = pin!(stop);
        let mut watch = pin!(server.watch_certificates());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => server.clone().spawn(stream, graceful.watcher()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut watch => {}
                () = &mut stop => break,
            }
        }
        drop(listener);
        let drain = tokio::time::timeout(server.limits.drain_time(), graceful.shutdown());
        if drain.await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
        }
    }

    async fn watch_certificates(&self) {
        match &self.tls {
            Some(tls) => tls.watch().await,
            None => std::future::pending().await,
        }
    }

    fn spawn(self: Arc<Self>, mut stream: TcpStream, watcher: Watcher) {
        let permit = self.connections.clone().try_acquire_owned();
        tokio::spawn(async move {
            match permit {
                Ok(permit) => self.connection(stream, watcher, permit).await,
                Err(_) if self.tls.is_none() => {
                    // Read nothing: who asks too much is answered at once.
                    let _ = stream.write_all(NO_ROOM).await;
                }
                Err(_) => {}
            }
        });
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        watcher: Watcher,
        _permit: OwnedSemaphorePermit,
    ) {
        let _counted = Counted::in_gauge(&self.metrics.connections);
        // Answers are small and written whole: waiting to fill a packet only
        // delays them.
        let _ = stream.set_nodelay(true);
        let answering = Answering::default();
        let stream = Guarded::new(stream, &self.limits, answering.clone());
        let served = match self.tls.as_ref().map(Tls::config) {
            None => self.clone().http1(stream, answering, watcher).await,
            Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    self.clone().http2(stream, answering, watcher).await
                }
                Ok(stream) => self.clone().http1(stream, answering, watcher).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn http1(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answering: Answering,
        watcher: Watcher,
    ) -> Result<(), Failed> {
        let header_bytes = self.limits.header_bytes;
        let requests = Requests::default();
        let mut framing = Framing::new(requests.clone());
        let stream = InspectReader::new(stream, move |bytes: &[u8]| framing.follow(bytes));
        let service = service_fn(move |request| {
            let (server, answering) = (self.clone(), answering.clone());
            let is_doubtful = requests.next_is_doubtful();
            async move {
                if is_doubtful {
                    // As hyper answers whatever else is no request.
                    tracing::debug!("a request had a length beside its transfer coding");
                    return Ok(bad_request());
                }
                answering.set(true);
                let answer = server.answer(request).await;
                answering.set(false);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            // Who says that nothing more follows may still wait for an answer.
            .half_close(true)
            .max_headers(HEADER_FIELDS)
            .max_buf_size(header_bytes)
            .serve_connection(TokioIo::new(stream), service);
        Ok(watcher.watch(connection).await?)
    }

    async fn http2(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answering: Answering,
        watcher: Watcher,
    ) -> Result<(), Failed> {
        let (header_bytes, idle_time) = (self.limits.header_bytes, self.limits.idle_time());
        let service = service_fn(move |request| {
            // Frames of several requests share the connection: from the first
            // on, its life is told by pings, not by silence.
            answering.set(true);
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(idle_time)
            .serve_connection(TokioIo::new(stream), service);
        Ok(watcher.watch(connection).await?)
    }

    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let started = Instant::now();
        let method = known(request.method());
        let version = request.version();
        let has_body = !hyper::body::Body::is_end_stream(request.body());
        // Dropped with this future when an HTTP/2 caller breaks off.
        let counted = Counted::in_gauge(&self.metrics.in_flight);
        let (response, read) = match self.in_flight.try_acquire() {
            Ok(_permit) => self.exchange(request, started).await,
            Err(_) => (refusal(Refusal::Overloaded, None), None),
        };
        drop(counted);
        let elapsed = started.elapsed();
        self.metrics.answered(method, &response.report, elapsed);
        log(method, &response, elapsed);
        let label = response.report.outcome.as_str();
        let unread = has_body && UNREAD.iter().any(|refusal| refusal.label() == label);
        let mut answer = http_response(response, read);
        if unread && version < Version::HTTP_2 {
            // The rest of the body cannot be told from a next request: the
            // connection ends here, and a sender must know that it does.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    /// The answer, and what the caller holds until it has taken it.
    /// The time of a request is shared out among its steps: one timer less for
    /// each notification than with one around all of them.
    async fn exchange(
        &self,
        request: http::Request<Incoming>,
        started: Instant,
    ) -> (Response, Option<Read>) {
        let request = match self.read(request).await {
            Ok(request) => request,
            Err(early) => return (early, None),
        };
        let is_notification = request.method == "POST";
        let left = self.limits.request_time().saturating_sub(started.elapsed());
        let exchange = self.receiver.exchange_within(left, request);
        if is_notification {
            return (exchange.await, None);
        }
        let Some(read) = self.reads.begin() else {
            return (refusal(Refusal::Overloaded, None), None);
        };
        // Reads also wait for their turn.
        let response = tokio::time::timeout(left, self.reads.in_turn(exchange)).await;
        let response = response.unwrap_or_else(|_| refusal(Refusal::Slow, None));
        // Only who was let in may take time over an answer.
        let was_read = response.status == Success::Read.status();
        (response, was_read.then_some(read))
    }

    /// The whole request, or the answer to one that cannot be had whole.
    async fn read(&self, request: http::Request<Incoming>) -> Result<Request, Response> {
        let (head, body) = request.into_parts();
        let declared = hyper::body::Body::size_hint(&body).lower();
        if declared > self.max_body_bytes as u64 {
            return Err(refusal(Refusal::BodyTooLarge, None));
        }
        let body = Limited::new(body, self.max_body_bytes).collect();
        let (request_time, body_time) = (self.limits.request_time(), self.limits.body_time());
        let body = match tokio::time::timeout(body_time.min(request_time), body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(refusal(Refusal::BodyTooLarge, None));
            }
            Ok(Err(error)) => {
                return Err(refusal(Refusal::BodyIncomplete, Some(error.to_string())));
            }
            Err(_elapsed) if request_time < body_time => return Err(refusal(Refusal::Slow, None)),
            Err(_elapsed) => return Err(refusal(Refusal::BodyTimeout, None)),
        };
        let target = head.uri.path_and_query();
        let headers = head.headers.iter();
        Ok(Request {
            method: head.method.as_str().to_owned(),
            target: target.map_or("/", |target| target.as_str()).to_owned(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: body.into(),
        })
    }
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("TLS: {0}")]
    Tls(#[from] io::Error),
}
