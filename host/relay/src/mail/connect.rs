//! The connection to the mail server. TLS is that of all other sinks.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{MailOptions, Security};
use crate::egress::{Addresses, CONNECT_TIME, Checked, excerpt};
use crate::error::OptionError;

/// The longest reply that is read before TLS, in bytes.
const REPLY_BYTES_MAX: usize = 8 << 10;

/// A greeting for the client, which expects one: the server's came before TLS.
const GREETING: &[u8] = b"220 TLS\r\n";

/// Connects to one mail server.
pub(super) struct Connector {
    tcp: Checked,
    host: String,
    port: u16,
    security: Security,
    allow_plaintext: bool,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection, protected as the options say.
pub(super) struct Connection {
    pub(super) stream: Box<dyn AsyncTokioStream>,
    /// How this host names itself: by its address, because its name may be a secret.
    pub(super) hello: ClientId,
}

impl Connector {
    pub(super) fn new(options: &MailOptions, addresses: Addresses) -> Result<Self, OptionError> {
        let host = options.host.clone();
        let tls = match options.security {
            Security::None => None,
            Security::StartTls | Security::Tls => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| OptionError::new("host", "it is not a host name"))?;
                let config = options.tls.config(true)?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Self {
            tcp: Checked::new(addresses, CONNECT_TIME),
            host,
            port: options.port.unwrap_or(options.security.port()),
            security: options.security,
            allow_plaintext: options.allow_plaintext,
            tls,
        })
    }

    /// Opens a connection. The error says what failed.
    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let tcp = self.tcp.connect(&self.host, self.port).await;
        let mut tcp = tcp.map_err(|error| error.to_string())?;
        let broken = |error: io::Error| format!("the connection broke: {error}");
        let peer = tcp.peer_addr().map_err(broken)?;
        let hello = match tcp.local_addr().map_err(broken)? {
            SocketAddr::V4(address) => ClientId::Ipv4(*address.ip()),
            SocketAddr::V6(address) => ClientId::Ipv6(*address.ip()),
        };
        let Some((connector, name)) = &self.tls else {
            if !peer.ip().is_loopback() && !self.allow_plaintext {
                return Err(format!(
                    "`{}` is not this machine, and needs TLS",
                    self.host
                ));
            }
            let stream = Stream::boxed(tcp, peer, b"");
            return Ok(Connection { stream, hello });
        };
        let mut greeting: &[u8] = b"";
        if self.security == Security::StartTls {
            start_tls(&mut tcp, &hello).await?;
            greeting = GREETING;
        }
        let tls = connector.connect(name.clone(), tcp).await;
        let tls = tls.map_err(|error| format!("TLS failed: {error}"))?;
        let stream = Stream::boxed(tls, peer, greeting);
        Ok(Connection { stream, hello })
    }
}

/// Asks for TLS. Reads not a byte beyond the last reply, so nothing that came before TLS
/// can be taken for something that came after it.
async fn start_tls(tcp: &mut TcpStream, hello: &ClientId) -> Result<(), String> {
    expect(tcp, 220).await?;
    tcp.write_all(format!("EHLO {hello}\r\n").as_bytes())
        .await
        .map_err(broken)?;
    let extensions = expect(tcp, 250).await?;
    let is_start_tls = |line: &str| {
        let keyword = line.get(4..).unwrap_or("");
        keyword.trim().eq_ignore_ascii_case("STARTTLS")
    };
    if !extensions.lines().any(is_start_tls) {
        return Err("the mail server does not offer STARTTLS: nothing was sent".into());
    }
    tcp.write_all(b"STARTTLS\r\n").await.map_err(broken)?;
    expect(tcp, 220).await.map(drop)
}

fn broken(error: io::Error) -> String {
    format!("the connection broke: {error}")
}

/// Reads a reply with this code.
async fn expect(tcp: &mut TcpStream, code: u16) -> Result<String, String> {
    let mut reply = Vec::new();
    loop {
        let start = reply.len();
        while reply.last() != Some(&b'\n') || reply.len() == start {
            if reply.len() >= REPLY_BYTES_MAX {
                return Err("the mail server's reply is too long".into());
            }
            reply.push(tcp.read_u8().await.map_err(broken)?);
        }
        let line = reply.get(start..).unwrap_or_default();
        if line.get(3) != Some(&b'-') {
            let text = String::from_utf8_lossy(&reply).into_owned();
            let is_expected = line.starts_with(code.to_string().as_bytes());
            return if is_expected {
                Ok(text)
            } else {
                Err(format!("the mail server answered {}", excerpt(&text)))
            };
        }
    }
}

/// A stream whose first bytes are a greeting.
struct Stream<T> {
    io: T,
    peer: SocketAddr,
    greeting: &'static [u8],
}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static> Stream<T> {
    fn boxed(io: T, peer: SocketAddr, greeting: &'static [u8]) -> Box<dyn AsyncTokioStream> {
        Box::new(Self { io, peer, greeting })
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.peer)
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Stream<T> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.greeting.len().min(buffer.remaining());
        if count > 0 {
            let (now, later) = self.greeting.split_at(count);
            buffer.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
