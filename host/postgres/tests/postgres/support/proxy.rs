//! [`Proxy`]: a link to a server that can be cut.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a proxy does with the bytes of its connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Passes them on.
    Forward,
    /// Passes requests on, and closes the connection at the first answer.
    LoseAnswers,
    /// Keeps them, like a network that is down.
    Hold,
    /// Closes every connection.
    Cut,
}

/// A proxy on a free port.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// Starts a proxy to this port of this machine.
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (mode, receiver) = watch::channel(Mode::Forward);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    tokio::spawn(connect(client, server, receiver.clone()));
                }
            }
        });
        Self { address, mode }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn connect(client: TcpStream, server: TcpStream, mode: watch::Receiver<Mode>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pass(client_read, server_write, mode.clone(), false) => {}
        () = pass(server_read, client_write, mode, true) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    is_answer: bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            changed = mode.wait_for(|mode| *mode == Mode::Cut) => {
                drop(changed);
                return;
            }
        };
        if read == 0 || (is_answer && *mode.borrow() == Mode::LoseAnswers) {
            // The server has finished what it was asked for.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return;
        }
        let released = mode.wait_for(|mode| *mode != Mode::Hold).await.map(|_| ());
        if released.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
