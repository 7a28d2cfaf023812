//! TCP connections to a host with several addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Connects to the first of these addresses that accepts. The addresses share `limit`: each
/// may take its part of the time that is left, so that one that never answers leaves time
/// for those after it.
///
/// # Errors
/// The error of the last address, [`TimedOut`](io::ErrorKind::TimedOut) if it did not answer
/// in time, or [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if there are no addresses.
pub async fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + limit;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let now = Instant::now();
        let until = now + end.saturating_duration_since(now) / left;
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A slow stream is better than none.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener whose queue is full: Linux does not answer another connection.
    async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        let wait = Duration::from_millis(300);
        while let Ok(stream) = tokio::time::timeout(wait, TcpStream::connect(address)).await {
            queued.push(stream.unwrap());
        }
        (listener, queued, address)
    }

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next() {
        let (_listener, _queued, silent) = silent().await;
        // The listener is gone, so a connection to it is refused.
        let works = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            listener.local_addr().unwrap()
        };
        let limit = Duration::from_secs(2);
        let started = Instant::now();
        let error = connect(&[silent, silent], limit).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= limit - Duration::from_millis(50));
        assert!(started.elapsed() < limit * 2);
        let stream = connect(&[silent, works], limit).await;
        let kind = stream.map(drop).map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::ConnectionRefused));
        let listener = TcpListener::bind(works).await.unwrap();
        let stream = connect(&[silent, works], limit).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_host_without_an_address_is_an_error() {
        let error = connect(&[], Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
