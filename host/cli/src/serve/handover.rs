//! The hand-over: a successor replaces the process that serves a journal.
//!
//! They communicate over a Unix socket, which is beside the journal if that is a file:
//!
//! 1. The successor sends [`HELLO`], and receives the listening sockets.
//! 2. It sends [`GO`] when it needs only the journal. The predecessor stops
//!    accepting, finishes the requests in progress, and closes the journal.
//! 3. The predecessor sends [`CLOSED`]. The successor opens the journal.
//! 4. The successor sends [`SERVING`], and the predecessor ends.
//!
//! Meanwhile new connections wait at the sockets, which are always open in at least
//! one of the processes. If the successor ends before step 4, the predecessor opens
//! the journal again and continues. If the predecessor ends, the system has closed
//! the journal.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::listen::{Origin, Socket, bind_path};

/// The successor asks for the sockets.
const HELLO: u8 = b'h';
/// The successor needs only the journal.
const GO: u8 = b'g';
/// The journal is closed.
const CLOSED: u8 = b'c';
/// The successor serves.
const SERVING: u8 = b's';

/// The mode of the socket: only the owner may connect.
const MODE: u32 = 0o600;

/// The time limit of the steps that do not wait for requests or the journal.
const STEP_TIME: Duration = Duration::from_secs(10);

/// The maximum number of passed sockets: the public one, that of the page, and the admin one.
const SOCKETS_MAX: usize = 3;

/// The longest message that passes sockets, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The separator between the fields of a socket, and between sockets. An option's
/// value cannot contain it.
const SEPARATOR: char = '\0';

/// The hand-over socket, at which this process waits for a successor.
pub(super) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Opens the hand-over socket at a path.
    ///
    /// # Errors
    /// The socket cannot be created, for example because its path is longer than
    /// 107 bytes.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let listener = bind_path(&path, MODE)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            path,
        })
    }

    /// Waits until a successor has the sockets and needs only the journal.
    pub(super) async fn successor(&self, sockets: &[(&str, &Socket)]) -> Successor {
        loop {
            let asked = match self.listener.accept().await {
                Ok((stream, _)) => timeout(STEP_TIME, Successor::welcome(stream, sockets)).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept the connection of a successor");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            match asked {
                Ok(Ok(successor)) => return successor,
                Ok(Err(error)) => tracing::warn!("the hand-over to a successor failed: {error}"),
                Err(_elapsed) => tracing::warn!("a successor was not ready in time"),
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A process that replaces this one.
pub(super) struct Successor {
    stream: UnixStream,
    /// Its process id, if it is visible to this process.
    pub(super) pid: Option<u32>,
}

impl Successor {
    async fn welcome(mut stream: UnixStream, sockets: &[(&str, &Socket)]) -> io::Result<Self> {
        let peer = stream.peer_cred()?;
        if ![0, rustix::process::geteuid().as_raw()].contains(&peer.uid()) {
            return Err(io::Error::other("the process belongs to another user"));
        }
        expect(&mut stream, HELLO).await?;
        send_sockets(&stream, sockets).await?;
        expect(&mut stream, GO).await?;
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        Ok(Self { stream, pid })
    }

    /// Reports that the journal is closed, and waits until the successor serves.
    /// Returns whether it does.
    pub(super) async fn take_over(&mut self) -> bool {
        let serves = async {
            self.stream.write_u8(CLOSED).await?;
            expect(&mut self.stream, SERVING).await
        };
        serves.await.is_ok()
    }
}

/// The process that currently serves the journal.
pub(super) struct Predecessor(UnixStream);

impl Predecessor {
    /// Connects to the process that waits at a hand-over socket. Returns `None` if
    /// there is no such process.
    ///
    /// # Errors
    /// A hand-over socket exists, but cannot be connected to.
    pub(super) async fn at(path: &Path) -> anyhow::Result<Option<Self>> {
        match UnixStream::connect(path).await {
            Ok(stream) => Ok(Some(Self(stream))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("cannot connect to the process at `{}`", path.display())),
        }
    }

    /// Gets the process's sockets, by name. It continues to accept connections.
    pub(super) async fn sockets(&mut self) -> anyhow::Result<Vec<(String, Socket)>> {
        let sockets = async {
            self.0.write_u8(HELLO).await?;
            receive_sockets(&self.0).await
        };
        timeout(STEP_TIME, sockets)
            .await
            .context("the running process did not answer in time")?
    }

    /// Asks the process to finish, and waits until the journal is closed.
    pub(super) async fn finish(&mut self) -> anyhow::Result<()> {
        self.0.write_u8(GO).await?;
        match expect(&mut self.0, CLOSED).await {
            // The process ended, which also closed the journal.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            closed => closed.context("the running process did not close the journal"),
        }
    }

    /// Lets the process end.
    pub(super) async fn dismiss(mut self) {
        // This fails if the process has ended already.
        let _ = self.0.write_u8(SERVING).await;
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

async fn expect(stream: &mut UnixStream, word: u8) -> io::Result<()> {
    match stream.read_u8().await? {
        found if found == word => Ok(()),
        found => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "received byte {found:#x} instead of {word:#x}: the other process may be another \
                 version of batchtask"
            ),
        )),
    }
}

async fn send_sockets(stream: &UnixStream, sockets: &[(&str, &Socket)]) -> io::Result<()> {
    let fields = sockets
        .iter()
        .flat_map(|(name, socket)| match &socket.origin {
            Origin::Option(option) => [*name, option],
            Origin::Manager => [*name, ""],
        });
    let message = fields.collect::<Vec<_>>().join(&SEPARATOR.to_string());
    let fds: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let bytes = [IoSlice::new(message.as_bytes())];
        Ok(sendmsg(stream, &bytes, &mut control, SendFlags::NOSIGNAL)?)
    };
    stream.async_io(Interest::WRITABLE, send).await.map(drop)
}

async fn receive_sockets(stream: &UnixStream) -> anyhow::Result<Vec<(String, Socket)>> {
    let receive = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        bytes.truncate(received.bytes);
        Ok((bytes, passed_fds(&mut control)))
    };
    let (bytes, fds) = stream.async_io(Interest::READABLE, receive).await?;
    let message = String::from_utf8(bytes).context("the names of the sockets are not UTF-8")?;
    let mut fields = message.split(SEPARATOR);
    let mut sockets = Vec::new();
    for fd in fds {
        let (Some(name), Some(option)) = (fields.next(), fields.next()) else {
            bail!("the running process passed a socket without a name");
        };
        let origin = match option {
            "" => Origin::Manager,
            option => Origin::Option(option.into()),
        };
        sockets.push((name.to_owned(), Socket::from_fd(origin, fd)?));
    }
    Ok(sockets)
}

fn passed_fds(control: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            fds.extend(passed);
        }
    }
    fds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_successor_gets_the_sockets_and_waits_for_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db.handover");
        assert!(Predecessor::at(&path).await.unwrap().is_none());
        let http = Socket::bind("127.0.0.1:0").await.unwrap();
        let url = http.url(false);
        let door = Door::open(path.clone()).unwrap();
        let serving = tokio::spawn(async move {
            let mut successor = door.successor(&[("http", &http)]).await;
            assert_eq!(successor.pid, Some(std::process::id()));
            successor.take_over().await
        });
        let mut predecessor = Predecessor::at(&path).await.unwrap().unwrap();
        let sockets = predecessor.sockets().await.unwrap();
        let [(name, socket)] = &sockets[..] else {
            panic!("{sockets:?}");
        };
        assert_eq!((&**name, socket.url(false)), ("http", url));
        assert_eq!(socket.origin, Origin::Option("127.0.0.1:0".into()));
        predecessor.finish().await.unwrap();
        predecessor.dismiss().await;
        assert!(serving.await.unwrap());
    }

    #[tokio::test]
    async fn the_end_of_a_successor_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.db.handover");
        let http = Socket::bind("127.0.0.1:0").await.unwrap();
        let door = Door::open(path.clone()).unwrap();
        let serving = tokio::spawn(async move {
            let mut successor = door.successor(&[("http", &http)]).await;
            successor.take_over().await
        });
        // This successor ends before it needs the journal.
        let mut early = Predecessor::at(&path).await.unwrap().unwrap();
        early.sockets().await.unwrap();
        drop(early);
        let mut late = Predecessor::at(&path).await.unwrap().unwrap();
        late.sockets().await.unwrap();
        late.finish().await.unwrap();
        drop(late);
        assert!(!serving.await.unwrap());
    }
}
