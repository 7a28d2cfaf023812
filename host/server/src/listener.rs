//! A listening socket, over TCP or at a path.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// At an address.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

/// A connection that was accepted.
pub type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    /// Accepts a connection. Returns the address of its other end too, which a
    /// connection to a path does not have. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The errors of the system. Others may be accepted later.
    pub async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and written whole: waiting to fill a packet
                // only delays them.
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

/// An IPv4 address as such: a socket for both families has it within IPv6.
fn unmapped(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
