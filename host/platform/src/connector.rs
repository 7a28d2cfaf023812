//! How connections are made: names, proxy, TLS.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::{OptionError, Source};
use crate::proxy::Proxy;

/// How the transport connects.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// The proxy, if there is one.
    pub proxy: Option<Proxy>,
    /// The authorities that the server's certificate may come from, as PEM. `None`:
    /// those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The time limit for connecting.
    pub connect_timeout: Duration,
    /// The time limit for one attempt, from connecting to the end of the answer.
    pub timeout: Duration,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            proxy: None,
            authorities: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
        }
    }
}

/// A connection that was idle for this time is not used again: the platform's
/// gateway closes it soon after.
const IDLE_TIME: Duration = Duration::from_secs(30);

pub(crate) type Connector = HttpsConnector<Route>;
type Tcp = HttpConnector<Resolver>;

/// A client of HTTP that connects in this way, with a pool of connections.
pub struct HttpClient(legacy::Client<Connector, Full<Bytes>>);

impl HttpClient {
    /// Creates a client. The system's authorities are read only if `is_https`.
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn new(options: &TransportOptions, is_https: bool) -> Result<Self, OptionError> {
        client(options, is_https).map(Self)
    }

    /// Sends a request for an absolute URL.
    pub fn request(&self, request: http::Request<Full<Bytes>>) -> legacy::ResponseFuture {
        self.0.request(request)
    }
}

/// Returns a client that connects in this way.
pub(crate) fn client(
    options: &TransportOptions,
    is_https: bool,
) -> Result<legacy::Client<Connector, Full<Bytes>>, OptionError> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(options.connect_timeout));
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(options.authorities.as_deref(), is_https)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(through(options.proxy.as_ref(), tcp)?);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIME)
        .build(connector))
}

fn through(proxy: Option<&Proxy>, tcp: Tcp) -> Result<Route, OptionError> {
    let Some(proxy) = proxy else {
        return Ok(Route::Direct(tcp));
    };
    let uri = proxy.origin.uri("/");
    let uri = uri.map_err(|_| OptionError::new("proxy", "it is not a valid URL"))?;
    let tunnel = Tunnel::new(uri, tcp);
    Ok(Route::Proxied(match &proxy.authorization {
        Some(authorization) => tunnel.with_auth(authorization.clone()),
        None => tunnel,
    }))
}

fn tls(authorities: Option<&[u8]>, is_https: bool) -> Result<ClientConfig, OptionError> {
    let roots = if is_https || authorities.is_some() {
        batchtask_trust::roots(authorities).map_err(unusable)?
    } else {
        RootCertStore::empty()
    };
    let builder = batchtask_trust::client(roots).map_err(unusable)?;
    Ok(builder.with_no_client_auth())
}

fn unusable(reason: impl ToString) -> OptionError {
    OptionError::new("authorities", reason.to_string())
}

/// A connection without TLS, directly or through a proxy's tunnel.
#[derive(Clone)]
pub(crate) enum Route {
    Direct(Tcp),
    Proxied(Tunnel<Tcp>),
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = Source;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Source>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Source>> {
        match self {
            Self::Direct(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Self::Proxied(tunnel) => tunnel
                .poll_ready(context)
                .map_err(|error| NoTunnel(error.into()).into()),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Self::Direct(tcp) => {
                let connecting = tcp.call(uri);
                Box::pin(async move { connecting.await.map_err(Into::into) })
            }
            Self::Proxied(tunnel) => {
                let connecting = tunnel.call(with_port(uri));
                Box::pin(async move {
                    connecting
                        .await
                        .map_err(|error| NoTunnel(error.into()).into())
                })
            }
        }
    }
}

/// Returns a URL with the port of `http`, because a tunnel would use that of `https`.
fn with_port(uri: Uri) -> Uri {
    let Some(host) = uri.host().filter(|_| uri.port().is_none()) else {
        return uri;
    };
    if uri.scheme_str() != Some("http") {
        return uri;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("http://{host}:80{path}").parse().unwrap_or(uri)
}

/// The system's resolver, whose errors are an [`UnknownHost`].
#[derive(Clone)]
pub(crate) struct Resolver(GaiResolver);

/// A proxy that opened no tunnel.
#[derive(Debug, thiserror::Error)]
#[error("no tunnel")]
pub(crate) struct NoTunnel(#[source] Source);

/// A name without an address.
#[derive(Debug, thiserror::Error)]
#[error("name resolution failed")]
pub(crate) struct UnknownHost(#[source] std::io::Error);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = UnknownHost;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, UnknownHost>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UnknownHost>> {
        self.0.poll_ready(context).map_err(UnknownHost)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move { resolving.await.map_err(UnknownHost) })
    }
}
