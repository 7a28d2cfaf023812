//! Obtains the listening sockets of a receiver.

use std::sync::Arc;

use batchtask_host::http::Audience;

use super::handover::Predecessor;
use super::listen::{ADMIN, HTTP, Origin, PassedSockets, READ, Socket};
use crate::config::HostConfig;

/// The listening sockets of a receiver.
pub(super) struct Sockets {
    /// The socket of the webhook.
    pub(super) http: Option<Arc<Socket>>,
    /// The socket of page and API, if they have their own.
    pub(super) read: Option<Arc<Socket>>,
    pub(super) admin: Option<Arc<Socket>>,
}

impl Sockets {
    /// Takes the sockets that a service manager passed. For others, takes those of
    /// the predecessor if its options are the same, or else binds them.
    pub(super) async fn obtain(
        config: &HostConfig,
        predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Self> {
        let passed = PassedSockets::take()?;
        let mut inherited = match predecessor {
            Some(predecessor) => predecessor.sockets().await?,
            None => Vec::new(),
        };
        let inherited = &mut inherited;
        Ok(Self {
            http: obtain(passed.http, inherited, HTTP, config.listen.as_deref()).await?,
            read: obtain(passed.read, inherited, READ, config.read_listen.as_deref()).await?,
            admin: obtain(passed.admin, inherited, ADMIN, config.admin.as_deref()).await?,
        })
    }

    /// The socket that names this host: that of the webhook, or else that of the page.
    pub(super) fn main(&self) -> Option<&Arc<Socket>> {
        self.http.as_ref().or(self.read.as_ref())
    }

    /// The socket of the page.
    pub(super) fn page(&self) -> Option<&Arc<Socket>> {
        self.read.as_ref().or(self.http.as_ref())
    }

    /// Returns the sockets for HTTP, each with its name and the requests that it serves.
    pub(super) fn public(&self) -> Vec<(&'static str, &Arc<Socket>, Audience)> {
        let webhook = match &self.read {
            Some(_) => Audience::Platform,
            None => Audience::Everyone,
        };
        let http = self.http.as_ref().map(|socket| (HTTP, socket, webhook));
        let read = self
            .read
            .as_ref()
            .map(|socket| (READ, socket, Audience::Readers));
        http.into_iter().chain(read).collect()
    }

    /// Returns the sockets with their names, for a successor.
    pub(super) fn named(&self) -> Vec<(&'static str, &Socket)> {
        let sockets = [(HTTP, &self.http), (READ, &self.read), (ADMIN, &self.admin)];
        let open = sockets
            .into_iter()
            .filter_map(|(name, socket)| Some((name, socket.as_deref()?)));
        open.collect()
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
    option: Option<&str>,
) -> anyhow::Result<Option<Arc<Socket>>> {
    let Some(option) = option else {
        return Ok(None);
    };
    if let Some(socket) = passed {
        return Ok(Some(Arc::new(socket)));
    }
    let is_wanted = |(found, socket): &(String, Socket)| {
        let same_option = match &socket.origin {
            Origin::Manager => true,
            Origin::Option(found) => found == option,
        };
        found == name && same_option
    };
    let socket = match inherited.iter().position(is_wanted) {
        Some(index) => inherited.swap_remove(index).1,
        None => Socket::bind(option).await?,
    };
    Ok(Some(Arc::new(socket)))
}
