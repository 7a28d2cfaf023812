//! Listening sockets, which are bound here or passed by a service manager.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use batchtask_host::listener::Listener;
use listenfd::ListenFd;
use rustix::fs::Access;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::TcpSocket;

/// How many connections can wait at a socket while they are not accepted, for
/// example during a hand-over. The system's limit is `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// The mode of Unix sockets: the owner and the group may connect.
const PATH_MODE: u32 = 0o660;

/// The name of the public socket.
pub(super) const HTTP: &str = "http";

/// The name of the socket of page and API.
pub(super) const READ: &str = "read";

/// The name of the admin socket.
pub(super) const ADMIN: &str = "admin";

/// A listening socket. It stays open while services start and stop.
#[derive(Debug)]
pub(super) struct Socket {
    /// Where the socket comes from.
    pub(super) origin: Origin,
    inner: Inner,
}

/// Where a socket comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program bound it to this value of `--listen`, `--read-listen` or `--admin`.
    Option(String),
    /// A service manager passed it, and keeps it open.
    Manager,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Listens on `ADDRESS:PORT`, `:PORT` or `unix:PATH`.
    pub(super) async fn bind(at: &str) -> anyhow::Result<Self> {
        let bound = match at.strip_prefix("unix:") {
            Some(path) => bind_path(Path::new(path), PATH_MODE).map(Inner::Unix),
            None => bind_address(at).await.map(Inner::Tcp),
        };
        Ok(Self {
            origin: Origin::Option(at.into()),
            inner: bound.with_context(|| format!("cannot listen on `{at}`"))?,
        })
    }

    /// Wraps a socket that another process passed.
    pub(super) fn from_fd(origin: Origin, fd: OwnedFd) -> io::Result<Self> {
        let is_path =
            rustix::net::getsockname(&fd)?.address_family() == rustix::net::AddressFamily::UNIX;
        let inner = if is_path {
            Inner::Unix(fd.into())
        } else {
            Inner::Tcp(fd.into())
        };
        Ok(Self { origin, inner })
    }

    /// Returns a listener that a service can accept from.
    pub(super) fn listener(&self) -> io::Result<Listener> {
        Ok(match &self.inner {
            Inner::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Listener::Tcp(socket.try_into()?)
            }
            Inner::Unix(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Listener::Unix(socket.try_into()?)
            }
        })
    }

    /// Returns the address, or `None` for a Unix socket.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.inner {
            Inner::Tcp(socket) => socket.local_addr().ok(),
            Inner::Unix(_) => None,
        }
    }

    /// Returns the URL, or the path of a Unix socket.
    pub(super) fn url(&self, has_tls: bool) -> String {
        let scheme = if has_tls { "https" } else { "http" };
        match (self.address(), self.path()) {
            (Some(address), _) => format!("{scheme}://{address}"),
            (None, Some(path)) => format!("unix:{} ({scheme})", path.display()),
            (None, None) => format!("a socket without an address ({scheme})"),
        }
    }

    /// Whether the socket has a loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        self.address()
            .is_some_and(|address| address.ip().is_loopback())
    }

    /// Removes the path of a Unix socket that is no longer in use.
    pub(super) fn remove_path(&self) {
        if let (Origin::Option(_), Some(path)) = (&self.origin, self.path()) {
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self) -> Option<PathBuf> {
        let Inner::Unix(socket) = &self.inner else {
            return None;
        };
        Some(socket.local_addr().ok()?.as_pathname()?.to_owned())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::Tcp(socket) => socket.as_fd(),
            Inner::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Checks that it is possible to listen at `ADDRESS:PORT`, `:PORT` or
/// `unix:PATH`. Returns the address, if it has one. An address that is in use is
/// accepted: probably the receiver that runs with this configuration uses it.
pub(super) async fn probe(at: &str) -> anyhow::Result<Option<SocketAddr>> {
    let probed = match at.strip_prefix("unix:") {
        Some(path) => probe_path(Path::new(path)).map(|()| None),
        None => first(at, probe_address).await.map(Some),
    };
    probed.with_context(|| format!("cannot listen on `{at}`"))
}

fn probe_address(address: SocketAddr) -> io::Result<SocketAddr> {
    match bound(address) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => Err(error),
        _ => Ok(address),
    }
}

fn probe_path(path: &Path) -> io::Result<()> {
    if let Ok(data) = fs::symlink_metadata(path)
        && !data.file_type().is_socket()
    {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    Ok(rustix::fs::access(
        folder,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
}

async fn bind_address(at: &str) -> io::Result<TcpListener> {
    first(at, bind_to).await
}

/// The result for the first address of `ADDRESS:PORT` or `:PORT` that works.
async fn first<T>(at: &str, work: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    if let Some(port) = at.strip_prefix(':') {
        let port = port.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the port is not a number up to 65535",
            )
        })?;
        return all_interfaces(port, work);
    }
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in tokio::net::lookup_host(at).await? {
        match work(address) {
            Ok(done) => return Ok(done),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// The result for all interfaces, with one socket for IPv6 and IPv4. If the system
/// has no IPv6, for IPv4 only.
fn all_interfaces<T>(port: u16, work: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    work((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.raw_os_error() {
        Some(code) if no_ipv6(code) => work((Ipv4Addr::UNSPECIFIED, port).into()),
        _ => Err(error),
    })
}

/// Whether an error means that the system has no IPv6.
fn no_ipv6(code: i32) -> bool {
    let errors = [
        rustix::io::Errno::AFNOSUPPORT,
        rustix::io::Errno::ADDRNOTAVAIL,
    ];
    errors.iter().any(|error| error.raw_os_error() == code)
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)?.into_std()
}

/// A socket that has the address, and does not listen yet.
fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        set_ipv6_v6only(&socket, false)?;
        socket
    };
    // So that connections of a host that has just ended do not block the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens on a Unix socket with this mode. Replaces an existing socket if no process
/// listens on it, for example after a kill.
pub(super) fn bind_path(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if is_stale(path) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Whether the path is a Unix socket on which no process listens. The file type is
/// checked because other files also refuse connections, and must not be removed.
fn is_stale(path: &Path) -> bool {
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(is_refused)
}

/// The sockets that a service manager passed (`LISTEN_FDS`).
#[derive(Default)]
pub(super) struct PassedSockets {
    pub(super) http: Option<Socket>,
    pub(super) read: Option<Socket>,
    pub(super) admin: Option<Socket>,
}

impl PassedSockets {
    /// Takes the passed sockets. A socket that is not named `admin` or `read` is the
    /// public one.
    ///
    /// # Errors
    /// There are two of a kind, or a socket cannot be used.
    pub(super) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..sockets.len() {
            let (name, place) = match names.next() {
                Some(ADMIN) => (ADMIN, &mut passed.admin),
                Some(READ) => (READ, &mut passed.read),
                _ => (HTTP, &mut passed.http),
            };
            if place.is_some() {
                bail!(
                    "the service manager passed two `{name}` sockets: pass only one, and name the \
                     admin socket `{ADMIN}`, and that of the page `{READ}` \
                     (`FileDescriptorName=`)"
                );
            }
            *place =
                Some(take(&mut sockets, index).with_context(|| {
                    format!("cannot use socket {index} of the service manager")
                })?);
        }
        Ok(passed)
    }
}

fn take(sockets: &mut ListenFd, index: usize) -> anyhow::Result<Socket> {
    let inner = match sockets.take_unix_listener(index) {
        Ok(Some(socket)) => Inner::Unix(socket),
        _ => {
            let socket = sockets.take_tcp_listener(index)?;
            Inner::Tcp(socket.context("it is already in use")?)
        }
    };
    Ok(Socket {
        origin: Origin::Manager,
        inner,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_port_alone_is_all_interfaces() {
        let socket = Socket::bind(":0").await.unwrap();
        let Inner::Tcp(listener) = &socket.inner else {
            panic!("it is a Unix socket");
        };
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!socket.is_loopback());
    }

    #[tokio::test]
    async fn a_stale_path_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = format!("unix:{}", folder.path().join("http.sock").display());
        let live = Socket::bind(&at).await.unwrap();
        let path = live.path().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PATH_MODE);
        assert!(Socket::bind(&at).await.is_err());
        drop(live);
        assert!(path.exists());
        let next = Socket::bind(&at).await.unwrap();
        next.remove_path();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_not_a_socket_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "mine").unwrap();
        assert!(
            Socket::bind(&format!("unix:{}", path.display()))
                .await
                .is_err()
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
