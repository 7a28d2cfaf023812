//! Listening sockets: TCP, or a Unix socket at a path.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// An accepted connection.
pub type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    /// Accepts a connection. Also returns the peer's address, which a Unix socket
    /// does not have. Dropping the future loses no connection.
    ///
    /// # Errors
    /// Returns the system's error. The listener can be used again.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and written at once, so Nagle's algorithm would only
                // delay them.
                let _ = stream.set_nodelay(true);
                Ok((Either::Left(stream), Some(unmapped(peer))))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Either::Right(stream), None))
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// Converts an IPv4-mapped IPv6 address, which a socket for both families
/// reports, to the IPv4 address.
fn unmapped(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
