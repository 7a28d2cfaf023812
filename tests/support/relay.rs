//! [`Relay`]: a fixed address for a host whose address changes.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to the current host, or closes them if there is none.
pub(crate) struct Relay {
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (target, current) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let current = *current.borrow();
                tokio::spawn(forward(caller, current));
            }
        });
        Self { address, target }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn point_at(&self, host: SocketAddr) {
        self.target.send_replace(Some(host));
    }

    pub(crate) fn point_away(&self) {
        self.target.send_replace(None);
    }
}

async fn forward(mut caller: TcpStream, host: Option<SocketAddr>) {
    let Some(host) = host else { return };
    let Ok(mut host) = TcpStream::connect(host).await else {
        return;
    };
    // Whatever the result is, both sides are closed.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut host).await;
}
