//! Obtains the listening sockets of a receiver.

use std::sync::Arc;

use super::handover::Predecessor;
use super::listen::{ADMIN, HTTP, Origin, PassedSockets, Socket};

/// The listening sockets of a receiver.
pub(super) struct Sockets {
    pub(super) http: Arc<Socket>,
    pub(super) admin: Option<Arc<Socket>>,
}

impl Sockets {
    /// Takes the sockets that a service manager passed. For others, takes those of
    /// the predecessor if its options are the same, or else binds them.
    pub(super) async fn obtain(
        listen: &str,
        admin: Option<&str>,
        predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Self> {
        let passed = PassedSockets::take()?;
        let mut inherited = match predecessor {
            Some(predecessor) => predecessor.sockets().await?,
            None => Vec::new(),
        };
        let http = obtain(passed.http, &mut inherited, HTTP, listen).await?;
        let admin = match admin {
            None => None,
            Some(admin) => Some(obtain(passed.admin, &mut inherited, ADMIN, admin).await?),
        };
        Ok(Self {
            http: Arc::new(http),
            admin: admin.map(Arc::new),
        })
    }

    /// Returns the sockets with their names, for a successor.
    pub(super) fn named(&self) -> Vec<(&'static str, &Socket)> {
        let http = (HTTP, &*self.http);
        let admin = self.admin.as_deref().map(|socket| (ADMIN, socket));
        [http].into_iter().chain(admin).collect()
    }

    /// Closes the sockets, and removes the paths of Unix sockets.
    pub(super) fn close(self) {
        for (_, socket) in self.named() {
            socket.remove_path();
        }
    }
}

async fn obtain(
    passed: Option<Socket>,
    inherited: &mut Vec<(String, Socket)>,
    name: &str,
    option: &str,
) -> anyhow::Result<Socket> {
    if let Some(socket) = passed {
        return Ok(socket);
    }
    let is_wanted = |(found, socket): &(String, Socket)| {
        let same_option = match &socket.origin {
            Origin::Manager => true,
            Origin::Option(found) => found == option,
        };
        found == name && same_option
    };
    match inherited.iter().position(is_wanted) {
        Some(index) => Ok(inherited.swap_remove(index).1),
        None => Socket::bind(option).await,
    }
}
