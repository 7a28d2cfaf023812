//! The listening sockets of `serve`: bound here, or passed by a service manager.

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
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::TcpSocket;

/// How many connections wait at a socket while nobody accepts them, as during a
/// hand-over. The system has a bound of its own, `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// Who may connect to a path: its owner and its group.
const PATH_MODE: u32 = 0o660;

/// The name of the public socket.
pub(super) const HTTP: &str = "http";

/// The name of the socket for operators.
pub(super) const ADMIN: &str = "admin";

/// A listening socket. It stays open while services take it and give it back.
#[derive(Debug)]
pub(super) struct Socket {
    /// What the options said, or that it was passed by a service manager.
    pub(super) origin: Origin,
    inner: Inner,
}

/// Where a socket comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The value of `--listen` or `--admin`.
    Option(String),
    /// A service manager. It keeps the socket open.
    Manager,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Listens at `ADDRESS:PORT`, `:PORT` or `unix:PATH`.
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

    /// A socket that another process passed.
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

    /// The same socket, for a service to accept from.
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

    /// The address. `None` if it listens at a path.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.inner {
            Inner::Tcp(socket) => socket.local_addr().ok(),
            Inner::Unix(_) => None,
        }
    }

    /// The URL, or the path of a socket that has none.
    pub(super) fn url(&self, has_tls: bool) -> String {
        let scheme = if has_tls { "https" } else { "http" };
        match (self.address(), self.path()) {
            (Some(address), _) => format!("{scheme}://{address}"),
            (None, Some(path)) => format!("unix:{} ({scheme})", path.display()),
            (None, None) => format!("a socket without an address ({scheme})"),
        }
    }

    /// Whether only this machine reaches it by an address.
    pub(super) fn is_loopback(&self) -> bool {
        self.address()
            .is_some_and(|address| address.ip().is_loopback())
    }

    /// Removes the path of a socket that nobody listens on any more.
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

async fn bind_address(at: &str) -> io::Result<TcpListener> {
    if let Some(port) = at.strip_prefix(':') {
        let port = port
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the port is no number"))?;
        return bind_all(port);
    }
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(at).await? {
        match bind_to(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Listens on all interfaces: over IPv6 and IPv4 at once where there is IPv6.
fn bind_all(port: u16) -> io::Result<TcpListener> {
    bind_to((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.raw_os_error() {
        Some(code) if no_ipv6(code) => bind_to((Ipv4Addr::UNSPECIFIED, port).into()),
        _ => Err(error),
    })
}

/// Whether an error says that the system has no IPv6.
fn no_ipv6(code: i32) -> bool {
    let errors = [
        rustix::io::Errno::AFNOSUPPORT,
        rustix::io::Errno::ADDRNOTAVAIL,
    ];
    errors.iter().any(|error| error.raw_os_error() == code)
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        set_ipv6_v6only(&socket, false)?;
        socket
    };
    // Connections of a host that has just ended do not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Listens at a path with this mode. A socket that is there already is replaced if nobody
/// listens on it, as after a kill.
pub(super) fn bind_path(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if is_stale(path) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Whether a path is a socket that nobody listens on. Any other file refuses
/// connections too, and is not ours to remove.
fn is_stale(path: &Path) -> bool {
    let is_refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(is_refused)
}

/// The sockets that a service manager passed (`LISTEN_FDS`).
#[derive(Default)]
pub(super) struct Passed {
    pub(super) http: Option<Socket>,
    pub(super) admin: Option<Socket>,
}

impl Passed {
    /// Takes them. Those that are not named `admin` are public, and there may
    /// be one of each kind.
    pub(super) fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..sockets.len() {
            let is_admin = names.next() == Some(ADMIN);
            let (name, place) = if is_admin {
                (ADMIN, &mut passed.admin)
            } else {
                (HTTP, &mut passed.http)
            };
            if place.is_some() {
                bail!(
                    "the service manager passed two sockets for `{name}`: pass one, and name \
                     the one for operators `{ADMIN}` (`FileDescriptorName=`)"
                );
            }
            *place = Some(take(&mut sockets, index).with_context(|| {
                format!("socket {index} of the service manager cannot be used")
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
            Inner::Tcp(socket.context("it was taken before")?)
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
            panic!("it is at a path");
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
    async fn what_is_no_socket_is_left_alone() {
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
