//! [`Process`]: another host, as a process.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::PATIENCE;
use crate::support::client::Client;

/// A running host. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // With its children, because jco has one. It may have ended by itself.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Process {
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Starts a host and waits until it listens at `address`. The address must be known
    /// before, because these hosts do not report a port that they chose.
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Self {
        let child = command.process_group(0).spawn().expect("it starts");
        let mut host = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                host.child.try_wait().expect("a child").is_none(),
                "it ended"
            );
            assert!(start.elapsed() < PATIENCE, "it does not listen");
            std::thread::yield_now();
        }
        host
    }
}

/// Returns an address that is free now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}
