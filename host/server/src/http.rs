//! The public listener: HTTP on one side, the intake on the other.
//!
//! - `body`: reading a body, at once or with patience.
//! - `stream`: ends connections that stall; `framing`: refuses requests with
//!   two lengths.
//! - `answers`: responses as HTTP.

mod answers;
mod body;
mod framing;
mod stream;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_guest::outcomes::Refusal;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectReader;

use self::answers::{bad_request, http_response};
use self::body::{Body, Rest, Unreadable};
use self::framing::{Framing, Requests};
use self::stream::{Answering, Guarded};
use crate::component::{Request, Response};
use crate::intake::{Intake, method_label, refusal};
use crate::limits::{HEADER_FIELDS, HTTP2_STREAMS, Limits};
use crate::reads::Read;
use crate::telemetry::{GaugeGuard, Registry};
use crate::tls::Tls;

/// Response sent when the connection limit is reached; a TLS client is just
/// disconnected.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// A pause when no connection can be accepted for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves an intake over HTTP.
pub struct Server {
    intake: Arc<Intake>,
    max_body_bytes: usize,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    connections: Arc<Semaphore>,
    open: IntGauge,
}

impl Server {
    /// A server that reads at most `max_body_bytes` of a body, and speaks TLS
    /// if it gets certificates.
    ///
    /// # Errors
    /// Another metric has the name of one of its own.
    pub fn new(
        intake: Arc<Intake>,
        max_body_bytes: usize,
        limits: Limits,
        tls: Option<Arc<Tls>>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            connections: Arc::new(Semaphore::new(limits.max_connections as usize)),
            open: registry.gauge("batchtask_connections", "Connections open now.")?,
            intake,
            max_body_bytes,
            limits,
            tls,
        })
    }

    /// Accepts connections until `stop` resolves, then waits for requests in
    /// flight, for at most the drain time.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.clone().spawn(stream, graceful.watcher()),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        let drain = tokio::time::timeout(self.limits.drain_time(), graceful.shutdown());
        if drain.await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
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
        let _counted = GaugeGuard::new(&self.open);
        // Answers are small and written whole: waiting to fill a packet only
        // delays them.
        let _ = stream.set_nodelay(true);
        let answering = Answering::default();
        let stream = Guarded::new(stream, &self.limits, answering.clone());
        let served = match self.tls.as_ref().map(|tls| tls.config()) {
            None => self.clone().http1(stream, answering, watcher, false).await,
            Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                Ok(stream) => {
                    let session = stream.get_ref().1;
                    // A client certificate was verified in the handshake.
                    let proven = session.peer_certificates().is_some();
                    if session.alpn_protocol() == Some(b"h2") {
                        self.clone().http2(stream, answering, watcher, proven).await
                    } else {
                        self.clone().http1(stream, answering, watcher, proven).await
                    }
                }
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
        sender_proven: bool,
    ) -> Result<(), Failed> {
        let header_bytes = self.limits.header_bytes as usize;
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
                let answer = server.answer(request, sender_proven).await;
                answering.set(false);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            // A client that closes its side may still wait for an answer.
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
        sender_proven: bool,
    ) -> Result<(), Failed> {
        let (header_bytes, idle_time) = (self.limits.header_bytes, self.limits.idle_time());
        let service = service_fn(move |request| {
            // Frames of several requests share the connection: from the first
            // request on, pings tell whether it lives, not its silence.
            answering.set(true);
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request, sender_proven).await) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(header_bytes)
            .keep_alive_interval(idle_time)
            .serve_connection(TokioIo::new(stream), service);
        Ok(watcher.watch(connection).await?)
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        sender_proven: bool,
    ) -> http::Response<Full<Bytes>> {
        let version = request.version();
        let has_body = !request.body().is_end_stream();
        let method = method_label(request.method().as_str());
        let (response, outcome) = self
            .intake
            .observe(method, async |deadline| {
                let (response, outcome) = self.exchange(request, sender_proven, deadline).await;
                (response, outcome)
            })
            .await;
        // A request beyond the bound on requests in flight was not read.
        let (read, body) = outcome.unwrap_or((None, Rest::of(has_body)));
        let mut answer = http_response(response, read);
        if body == Rest::Unread && version < Version::HTTP_2 {
            // The rest of the body looks like the next request: the
            // connection ends here, and the sender must know that it does.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }

    /// The response, the read that it belongs to, and whether a part of the
    /// body is still to come.
    async fn exchange(
        &self,
        request: http::Request<Incoming>,
        sender_proven: bool,
        deadline: Instant,
    ) -> (Response, (Option<Read>, Rest)) {
        let (head, body) = request.into_parts();
        let mut request = wire_request(&head, sender_proven);
        let mut body = Body::new(body, self.max_body_bytes);
        let expects_continue = head.headers.contains_key(header::EXPECT);
        match self
            .read(&mut request, &mut body, expects_continue, deadline)
            .await
        {
            Ok(()) => {
                let rest = body.rest();
                let (response, read) = self.intake.answer(request, deadline).await;
                (response, (read, rest))
            }
            Err(response) => (*response, (None, body.rest())),
        }
    }

    /// Reads the body of a request, unless its head is refused.
    async fn read(
        &self,
        request: &mut Request,
        body: &mut Body,
        expects_continue: bool,
        deadline: Instant,
    ) -> Result<(), Box<Response>> {
        let refused = |reason: Unreadable| Box::new(refusal(reason.refusal, reason.detail));
        // A body that came with its head costs nothing to hold, and saves a
        // call into the component.
        if !expects_continue && let Some(read) = body.read_at_once().await {
            read.map_err(refused)?;
            request.body = body.take();
            return Ok(());
        }
        let admission = self
            .intake
            .head(request, deadline)
            .await
            .map_err(Box::new)?;
        if let Some(admission) = admission {
            if admission.max_body_bytes == 0 {
                return Ok(());
            }
            body.limit_to(usize::try_from(admission.max_body_bytes).unwrap_or(usize::MAX));
        }
        let body_deadline = Instant::now() + self.limits.body_time();
        let until = body_deadline.min(deadline);
        match tokio::time::timeout_at(until.into(), body.read()).await {
            Ok(read) => read.map_err(refused)?,
            Err(_elapsed) if until < body_deadline => {
                return Err(Box::new(refusal(Refusal::Slow, None)));
            }
            Err(_elapsed) => return Err(Box::new(refusal(Refusal::BodyTimeout, None))),
        }
        request.body = body.take();
        Ok(())
    }
}

/// A request without its body, as the component takes it.
fn wire_request(head: &http::request::Parts, sender_proven: bool) -> Request {
    let target = head.uri.path_and_query();
    let headers = head.headers.iter();
    Request {
        method: head.method.as_str().to_owned(),
        target: target.map_or("/", |target| target.as_str()).to_owned(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        sender_proven,
        body: Vec::new(),
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
