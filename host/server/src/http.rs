//! The public listener: passes HTTP requests to the intake.
//!
//! - `exchange`: answers a request; `body`: reads its body.
//! - `crowd`: evicts connections or requests when there are too many; `room`:
//!   limits the memory for long bodies; `streams`: the requests of an HTTP/2
//!   connection.
//! - `stream`: closes connections that stall.
//! - `answers`: converts the component's responses to HTTP.
//! - `live`: the feed as a stream; `cors`: which other sites may read.
//! - `drain`: lets connections end when the listener stops.
//! - `proxy`: reads PROXY protocol headers; `forwarded`: reads `X-Forwarded-For`
//!   and `Forwarded`.
//! - `logins`: refuses logins after too many failed ones; `operate`: what operators do on
//!   the page of the quarantine.

pub(crate) mod answers;
mod body;
mod cors;
pub(crate) mod crowd;
mod drain;
pub(crate) mod exchange;
mod forwarded;
mod live;
mod logins;
mod operate;
mod proxy;
mod room;
pub(crate) mod stream;
mod streams;

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use batchtask_wire::framing::{Framing, FramingReader, Requests};
use batchtask_wire::head::{Ambiguity, ambiguity};
use batchtask_wire::tls::MaskedStream;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{IntCounter, IntGauge};
use rustls::InvalidMessage;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tokio_util::sync::CancellationToken;

pub use self::cors::Origins;

use self::answers::{Answer, closing, empty};
use self::crowd::{Crowd, Peer};
use self::drain::{Drain, Watcher};
use self::exchange::{Connection, Sender};
use self::live::LiveStreams;
use self::logins::Logins;
use self::room::Room;
use self::stream::{Answering, Guarded};
use self::streams::Streams;
use crate::component::Kind;
use crate::intake::Intake;
use crate::limits::{HTTP2_SEND_BYTES, HTTP2_WINDOW_BYTES, Limits};
use crate::listener::{Listener, Stream};
use crate::operations::Operations;
use crate::proxies::Proxies;
use crate::telemetry::{ConnectionFailure, ConnectionFailures, GaugeGuard, Registry};
use crate::tls::Tls;

/// The response when the connection limit is reached. A TLS client gets no
/// response.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// The response to a ClientHello while there is no certificate: a fatal alert,
/// `internal_error`.
const NO_CERTIFICATE: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves an intake over HTTP.
pub struct Server {
    intake: Arc<Intake>,
    max_body_bytes: usize,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    trust: RwLock<Arc<Trust>>,
    origins: RwLock<Arc<Origins>>,
    live: LiveStreams,
    connections: Crowd,
    /// Requests whose body is still arriving, and all HTTP/2 requests.
    unfinished: Crowd,
    room: Room,
    logins: Logins,
    operations: Option<Arc<dyn Operations>>,
    open: IntGauge,
    evictions: Evictions,
    cut: CancellationToken,
    failures: ConnectionFailures,
}

/// The requests that a listener serves. Others are answered as if their path did not
/// exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All requests.
    Everyone,
    /// Notifications.
    Platform,
    /// Reads and pages.
    Readers,
}

impl Audience {
    /// Whether the listener serves a request. `/health` and OPTIONS, which load balancers
    /// use, are served by all.
    fn includes<B>(self, request: &http::Request<B>, kind: Kind) -> bool {
        let is_check = request.method() == Method::OPTIONS || request.uri().path() == "/health";
        match self {
            Self::Everyone => true,
            Self::Platform => kind == Kind::Push || is_check,
            Self::Readers => kind != Kind::Push,
        }
    }
}

/// The proxies in front of a server.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Every connection must come from one of these, and begin with a header of
    /// the PROXY protocol. `None`: there is no such header.
    pub proxy_protocol: Option<Proxies>,
    /// A request from one of these reports the client's address in a header field,
    /// `X-Forwarded-For` or `Forwarded`.
    pub forwarders: Option<Proxies>,
}

/// Counts evicted connections and requests.
struct Evictions {
    connections: IntCounter,
    requests: IntCounter,
}

impl Evictions {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = registry.counters(
            "batchtask_evictions_total",
            "Connections and unfinished requests that were closed to make room for others.",
            "of",
        )?;
        Ok(Self {
            connections: counters.with_label_values(&["connection"]),
            requests: counters.with_label_values(&["request"]),
        })
    }
}

impl Server {
    /// Creates a server that uses TLS if `tls` is given.
    ///
    /// # Errors
    /// Another metric has the name of one of the server's metrics.
    pub fn new(
        intake: Arc<Intake>,
        limits: Limits,
        tls: Option<Arc<Tls>>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        if let Some(tls) = &tls {
            tls.register(registry)?;
        }
        let max_body_bytes = intake.settings().max_body_bytes;
        Ok(Self {
            connections: Crowd::new(limits.max_connections as usize),
            unfinished: Crowd::new(limits.max_unfinished as usize),
            room: Room::new(limits.body_memory_bytes(), max_body_bytes),
            logins: Logins::default(),
            operations: None,
            evictions: Evictions::register(registry)?,
            open: registry.gauge("batchtask_connections", "Connections open now.")?,
            failures: ConnectionFailures::register(registry)?,
            live: LiveStreams::register(limits.max_streams, registry)?,
            intake,
            max_body_bytes,
            limits,
            tls,
            trust: RwLock::default(),
            origins: RwLock::default(),
            cut: CancellationToken::new(),
        })
    }

    /// Also answers the requests of operators.
    pub fn with_operations(mut self, operations: Arc<dyn Operations>) -> Self {
        self.operations = Some(operations);
        self
    }

    /// Trusts these proxies from the next connection and request on. At first no
    /// proxy is trusted.
    pub fn trust(&self, trust: Trust) {
        let trust = Arc::new(trust);
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Lets pages of these origins read the API from the next request on. At first there
    /// are none.
    pub fn allow_origins(&self, origins: Origins) {
        let origins = Arc::new(origins);
        *self.origins.write().unwrap_or_else(PoisonError::into_inner) = origins;
    }

    fn allowed_origins(&self) -> Arc<Origins> {
        self.origins
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn trusted(&self) -> Arc<Trust> {
        self.trust
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Serves all requests: see [`serve_to`](Self::serve_to).
    pub async fn serve(
        self: Arc<Self>,
        listener: impl Into<Listener>,
        stop: impl Future<Output = ()>,
    ) {
        self.serve_to(Audience::Everyone, listener, stop).await;
    }

    /// Accepts connections until `stop` resolves. Then lets all connections end
    /// within the drain time: busy ones after their request, idle ones after their
    /// next answer or the hand-over time.
    pub async fn serve_to(
        self: Arc<Self>,
        audience: Audience,
        listener: impl Into<Listener>,
        stop: impl Future<Output = ()>,
    ) {
        let listener = listener.into();
        let drain = Drain::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.clone().spawn(stream, peer, drain.watcher(), audience);
                    }
                    Err(error) => {
                        // Perhaps no file descriptor is left, so close a connection.
                        self.connections.evict(Duration::ZERO);
                        self.not_accepted(&error);
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        let drained = self.cut.run_until_cancelled(drain.run(&self.limits)).await;
        if drained != Some(true) {
            tracing::warn!("some requests did not end in time, and their connections were closed");
        }
    }

    /// Ends the drain: after it was stopped, [`serve`](Self::serve) returns without
    /// waiting for requests.
    pub fn cut_drain(&self) {
        self.cut.cancel();
    }

    fn not_accepted(&self, error: &io::Error) {
        if lacks_descriptor(error) {
            self.intake.pressure().note_no_descriptor();
        }
        self.failures
            .record_error(ConnectionFailure::NotAccepted, None, error);
    }

    /// Counts a connection that is closed at the connection limit. It counts as a
    /// refused push, because a push may have come over it.
    fn no_room(&self, peer: Option<SocketAddr>) {
        self.intake.pressure().count(true);
        self.failures.record(ConnectionFailure::NoRoom, peer);
    }

    fn spawn(
        self: Arc<Self>,
        mut stream: Stream,
        peer: Option<SocketAddr>,
        watcher: Watcher,
        audience: Audience,
    ) {
        let member = self.connections.enter(Peer::at(peer.map(|peer| peer.ip())));
        tokio::spawn(async move {
            match member {
                Some(member) => {
                    let connection = Arc::new(Connection::new(member));
                    let sender = Sender {
                        peer,
                        is_proven: false,
                        over_https: self.tls.is_some(),
                        connection,
                        audience,
                        watcher: watcher.clone(),
                    };
                    self.accepted(stream, watcher, sender).await;
                }
                None if self.tls.is_none() => {
                    self.no_room(peer);
                    // Answer at once, without reading the request.
                    let _ = stream.write_all(NO_ROOM).await;
                }
                None => self.no_room(peer),
            }
        });
    }

    /// Serves a connection until it ends or is evicted.
    async fn accepted(self: Arc<Self>, stream: Stream, watcher: Watcher, sender: Sender) {
        let _counted = GaugeGuard::new(&self.open);
        let connection = sender.connection.clone();
        let served = self.clone().connection(stream, watcher, sender);
        tokio::select! {
            () = served => {}
            () = connection.member().evicted() => self.evictions.connections.inc(),
        }
    }

    async fn connection(self: Arc<Self>, stream: Stream, watcher: Watcher, mut sender: Sender) {
        let answering = Answering::default();
        let mut stream = Guarded::new(stream, &self.limits, answering.clone());
        sender.peer = match self.client(&mut stream, &sender).await {
            Ok(peer) => peer,
            Err(error) => {
                self.failures
                    .record_error(ConnectionFailure::NotProxied, sender.peer, &error);
                return;
            }
        };
        let peer = sender.peer;
        let served = self.clone().speak(stream, answering, watcher, sender);
        if let Err(error) = served.await {
            match error.failure() {
                Some(failure) => self.failures.record_error(failure, peer, &error),
                None => tracing::debug!(%error, "a connection ended early"),
            }
        }
    }

    /// Negotiates TLS and the HTTP version, and serves the connection.
    async fn speak(
        self: Arc<Self>,
        stream: Guarded<Stream>,
        answering: Answering,
        watcher: Watcher,
        mut sender: Sender,
    ) -> Result<(), Failed> {
        let Some(tls) = &self.tls else {
            return self.http1(stream, answering, watcher, sender).await;
        };
        let Some(stream) = handshake(tls, MaskedStream::new(stream)).await? else {
            return Ok(());
        };
        let session = stream.get_ref().1;
        // A client certificate was verified in the handshake.
        if session.peer_certificates().is_some() {
            sender.is_proven = true;
            sender.connection.keep();
        }
        if session.alpn_protocol() == Some(b"h2") {
            self.http2(stream, answering, watcher, sender).await
        } else {
            self.http1(stream, answering, watcher, sender).await
        }
    }

    /// Returns the client's address: the peer's, or the one that a proxy reports.
    async fn client(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        sender: &Sender,
    ) -> io::Result<Option<SocketAddr>> {
        let peer = sender.peer;
        let trust = self.trusted();
        let Some(proxies) = &trust.proxy_protocol else {
            return Ok(peer);
        };
        // These proxies are in front of the webhook.
        if sender.audience == Audience::Readers {
            return Ok(peer);
        }
        if !proxies.include(peer) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the address is not listed in `--proxy-protocol`",
            ));
        }
        Ok(proxy::read_header(stream).await?.or(peer))
    }

    async fn http1(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answering: Answering,
        watcher: Watcher,
        sender: Sender,
    ) -> Result<(), Failed> {
        let (header_bytes, header_fields) = (self.limits.header_bytes, self.limits.header_fields);
        let requests = Requests::default();
        let sender = Arc::new(sender);
        let stream = FramingReader::new(stream, Framing::new(requests.clone()));
        let marker = watcher.clone();
        let service = service_fn(move |request| {
            let (server, answering) = (self.clone(), answering.clone());
            let (sender, marker) = (sender.clone(), marker.clone());
            let ambiguity = requests.next_ambiguity().or_else(|| ambiguity(&request));
            // Boxed, because hyper moves it, and keeps its room while a connection is idle.
            Box::pin(async move {
                if let Some(ambiguity) = ambiguity {
                    return Ok(closing(server.ambiguous(ambiguity, &sender)));
                }
                answering.set(true);
                let mut answer = server.answer(request, &sender).await;
                marker.mark(&mut answer);
                answer.body_mut().end_answering(answering);
                Ok::<_, Infallible>(answer)
            })
        });
        let connection = http1::Builder::new()
            // A client that has closed its sending side may still wait for an answer.
            .half_close(true)
            .max_headers(header_fields as usize)
            .max_buf_size(header_bytes as usize)
            .serve_connection(TokioIo::new(stream), service);
        Ok(watcher.http1(connection).await?)
    }

    async fn http2(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answering: Answering,
        watcher: Watcher,
        sender: Sender,
    ) -> Result<(), Failed> {
        let limits = self.limits.clone();
        let header_fields = limits.header_fields as usize;
        let streams = Streams {
            unfinished: self.unfinished.clone(),
            peer: Peer::Connection(sender.connection.member().number()),
            write_time: limits.write_time(),
            evictions: self.evictions.requests.clone(),
        };
        let sender = Arc::new(sender);
        let service = service_fn(move |request: http::Request<Incoming>| {
            // Several requests share the connection, so after the first one, pings and
            // not silence show whether the client is alive.
            answering.set(true);
            let (server, sender) = (self.clone(), sender.clone());
            Box::pin(async move {
                if request.headers().len() > header_fields {
                    server
                        .failures
                        .record(ConnectionFailure::HeaderTooLarge, sender.peer);
                    return Ok(empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
                }
                if let Some(ambiguity) = ambiguity(&request) {
                    return Ok(server.ambiguous(ambiguity, &sender));
                }
                Ok::<_, Infallible>(server.answer(request, &sender).await)
            })
        });
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams)
            .max_header_list_size(limits.header_bytes)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .max_send_buf_size(HTTP2_SEND_BYTES)
            .keep_alive_interval(limits.idle_time())
            .serve_connection(TokioIo::new(stream), service);
        Ok(watcher.http2(connection).await?)
    }

    /// Counts an ambiguous request, and returns its answer.
    fn ambiguous(&self, ambiguity: Ambiguity, sender: &Sender) -> http::Response<Answer> {
        self.failures
            .record_error(ConnectionFailure::Ambiguous, sender.peer, &ambiguity);
        empty(StatusCode::BAD_REQUEST)
    }
}

/// Why a connection ended early.
/// Negotiates TLS. Returns `None` if it was only a check by a CA, which is complete with the
/// handshake.
async fn handshake<S>(tls: &Tls, stream: S) -> Result<Option<TlsStream<S>>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = tls.config();
    let Some(challenges) = tls.challenges() else {
        let config = config.ok_or(Failed::NoCertificate)?;
        return Ok(Some(TlsAcceptor::from(config).accept(stream).await?));
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    if let Some(config) = challenges.config(&hello.client_hello()) {
        let mut checked = hello.into_stream(config).await?;
        tracing::info!("a CA checked who controls a name");
        // The CA may have closed the connection already.
        let _ = checked.shutdown().await;
        return Ok(None);
    }
    let Some(config) = config else {
        let mut stream = hello.io;
        // The client may have closed the connection already.
        let _ = stream.write_all(NO_CERTIFICATE).await;
        return Err(Failed::NoCertificate);
    };
    Ok(Some(hello.into_stream(config).await?))
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("TLS: {0}")]
    Tls(#[from] io::Error),
    #[error("there is no certificate yet")]
    NoCertificate,
}

impl Failed {
    /// Returns the reason for the metric, or `None` if the client just closed the
    /// connection.
    fn failure(&self) -> Option<ConnectionFailure> {
        match self {
            Self::Http(error) if is_timeout(error) => Some(ConnectionFailure::Timeout),
            Self::Http(error) if error.is_parse_too_large() => {
                Some(ConnectionFailure::HeaderTooLarge)
            }
            Self::Http(error) => error.is_parse().then_some(ConnectionFailure::BadRequest),
            Self::NoCertificate => Some(ConnectionFailure::NoCertificate),
            Self::Tls(error) => match error.kind() {
                io::ErrorKind::TimedOut => Some(ConnectionFailure::Timeout),
                io::ErrorKind::InvalidData => Some(tls_failure(error)),
                _ => None,
            },
        }
    }
}

fn is_timeout(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    let is_stall = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    error.is_timeout() || source.is_some_and(is_stall)
}

/// Returns the reason for a failed handshake: the client does not speak TLS, or
/// TLS failed.
fn tls_failure(error: &io::Error) -> ConnectionFailure {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    match error {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            ConnectionFailure::NotTls
        }
        _ => ConnectionFailure::Tls,
    }
}

/// Whether an error means that no file descriptor is left: `EMFILE` for this
/// process, or `ENFILE` for the system.
fn lacks_descriptor(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}
