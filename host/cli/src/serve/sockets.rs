//! The listening sockets that a receiver uses, wherever they come from.

use std::sync::Arc;

use super::handover::Predecessor;
use super::listen::{ADMIN, HTTP, Origin, Passed, Socket};

/// The value of an option for no socket.
const OFF: &str = "off";

/// The listening sockets of a receiver.
pub(super) struct Sockets {
    pub(super) http: Arc<Socket>,
    pub(super) admin: Option<Arc<Socket>>,
}

impl Sockets {
    /// Takes the sockets that a service manager passed, else those of the
    /// predecessor if it has the same options, and binds the others.
    pub(super) async fn obtain(
        listen: &str,
        admin: &str,
        predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Self> {
        let passed = Passed::take()?;
        let mut left = match predecessor {
            Some(predecessor) => predecessor.sockets().await?,
            None => Vec::new(),
        };
        let http = obtain(passed.http, &mut left, HTTP, listen).await?;
        let admin = match admin {
            OFF => None,
            admin => Some(obtain(passed.admin, &mut left, ADMIN, admin).await?),
        };
        Ok(Self {
            http: Arc::new(http),
            admin: admin.map(Arc::new),
        })
    }

    /// The sockets with their names, for a successor.
    pub(super) fn named(&self) -> Vec<(&'static str, &Socket)> {
        let http = (HTTP, &*self.http);
        let admin = self.admin.as_deref().map(|socket| (ADMIN, socket));
        [http].into_iter().chain(admin).collect()
    }

    /// Closes them for good.
    pub(super) fn close(self) {
        for (_, socket) in self.named() {
            socket.remove_path();
        }
    }
}

async fn obtain(
    passed: Option<Socket>,
    left: &mut Vec<(String, Socket)>,
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
    match left.iter().position(is_wanted) {
        Some(index) => Ok(left.swap_remove(index).1),
        None => Socket::bind(option).await,
    }
}
