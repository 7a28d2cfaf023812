//! TCP and TLS to the broker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::failure::{Failure, Reason};
use crate::options::{Broker, OptionError, Options};

/// The time limit for a TCP connection, over all addresses of the broker.
const TCP_TIME: Duration = Duration::from_secs(10);

/// The time limit for a TLS handshake. The platform closes a connection without a link
/// after 15 seconds, so this and the limits in `login` and `link` add up to less.
const TLS_TIME: Duration = Duration::from_secs(5);

/// Opens connections to one broker.
pub(crate) struct Dialer {
    broker: Broker,
    tls: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(broker: &Broker, authorities: Option<&[u8]>) -> Result<Self, OptionError> {
        Ok(Self {
            broker: broker.clone(),
            tls: TlsConnector::from(Arc::new(config(authorities)?)),
        })
    }

    pub(crate) async fn dial(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let broker = &self.broker;
        let tcp = timeout(TCP_TIME, self.connect()).await;
        let tcp = tcp.map_err(|_| Failure::late(broker, "TCP"))??;
        let name = broker
            .server_name()
            .ok_or_else(|| Failure::new(Reason::UnknownHost, format!("{broker} is no address")))?;
        match timeout(TLS_TIME, self.tls.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Failure::of_tls(broker, &error)),
            Err(_) => Err(Failure::late(broker, "TLS")),
        }
    }

    /// Connects to the first address of the broker that works. Without the delay of small
    /// packets: otherwise each accepted message would wait 40 ms for the next one.
    async fn connect(&self) -> Result<TcpStream, Failure> {
        let broker = &self.broker;
        let unknown = |error: io::Error| {
            let text = format!("the name {} has no address: {error}", broker.host());
            Failure::new(Reason::UnknownHost, text)
        };
        let addresses = tokio::net::lookup_host((broker.host(), broker.port())).await;
        let addresses: Vec<_> = addresses.map_err(unknown)?.collect();
        let stream = batchtask_trust::connect(&addresses, TCP_TIME).await;
        stream.map_err(|error| match error.kind() {
            io::ErrorKind::AddrNotAvailable if addresses.is_empty() => {
                unknown(io::ErrorKind::NotFound.into())
            }
            io::ErrorKind::TimedOut => Failure::late(broker, "TCP"),
            _ => Failure::of_tcp(broker, &error),
        })
    }
}

impl Options {
    /// Checks whether a client can be created with these options.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn check(&self) -> Result<(), OptionError> {
        config(self.authorities.as_deref()).map(drop)
    }
}

fn config(authorities: Option<&[u8]>) -> Result<ClientConfig, OptionError> {
    let roots = batchtask_trust::roots(authorities).map_err(unusable)?;
    let builder = batchtask_trust::client(roots).map_err(unusable)?;
    Ok(builder.with_no_client_auth())
}

fn unusable(reason: impl ToString) -> OptionError {
    OptionError::new("authorities", reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_certificates() {
        let error = config(Some(b"hello")).unwrap_err();
        assert_eq!(error.field, "authorities");
        assert!(error.reason.contains("no certificate"), "{}", error.reason);
    }
}
