//! Resolves a name once, checks every address, and connects to the checked addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Addresses;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connects to receivers, over TLS or not.
pub(crate) type Connector = HttpsConnector<Checked>;

/// Returns a connector.
pub(crate) fn connector(tls: ClientConfig, addresses: Addresses, timeout: Duration) -> Connector {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(Checked::new(addresses, timeout))
}

/// Connects to checked addresses only.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    addresses: Addresses,
    /// For resolving and connecting together.
    timeout: Duration,
}

/// A host that was not connected to. The text says why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// A name without an address.
    #[error("the host `{host}` was not found: {reason}")]
    Unknown { host: String, reason: io::Error },
    /// An address that may not be used.
    #[error("the address `{address}` of `{host}` is not allowed: {reason}")]
    Forbidden {
        host: String,
        address: IpAddr,
        reason: &'static str,
    },
    /// A connection that was refused, or not opened in time.
    #[error("no connection to `{host}`: {reason}")]
    Refused { host: String, reason: io::Error },
}

impl Checked {
    pub(crate) fn new(addresses: Addresses, timeout: Duration) -> Self {
        Self { addresses, timeout }
    }

    /// Connects to a host.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Unreached> {
        let connecting = self.connect_to(host, port);
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        connected.unwrap_or_else(|_| Err(refused(host, io::ErrorKind::TimedOut)))
    }

    async fn connect_to(&self, host: &str, port: u16) -> Result<TcpStream, Unreached> {
        let addresses = self.resolve(host, port).await?;
        let stream = batchtask_trust::connect(&addresses, self.timeout).await;
        stream.map_err(|error| refused(host, error))
    }

    /// Returns the addresses of a host, all of which are allowed.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Unreached> {
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|reason| Unreached::Unknown {
            host: host.to_owned(),
            reason,
        })?;
        let addresses: Vec<_> = found.collect();
        for address in addresses.iter().map(SocketAddr::ip) {
            if let Some(reason) = self.addresses.refusal(address) {
                let host = host.to_owned();
                return Err(Unreached::Forbidden {
                    host,
                    address,
                    reason,
                });
            }
        }
        Ok(addresses)
    }
}

fn port(uri: &Uri) -> u16 {
    let is_https = uri.scheme_str() == Some("https");
    uri.port_u16().unwrap_or(if is_https { 443 } else { 80 })
}

fn refused(host: &str, reason: impl Into<io::Error>) -> Unreached {
    Unreached::Refused {
        host: host.to_owned(),
        reason: reason.into(),
    }
}

impl Service<Uri> for Checked {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = connector.connect(host, port(&uri)).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
