//! The keys of chats.

use batchtask_relay::{ChatOptions, Service};

use super::keys::{SECRET, SERVICE};
use super::reader::Reader;

impl Reader<'_> {
    /// Returns `None` if the service is not known.
    pub(super) fn chat(&mut self) -> Option<ChatOptions> {
        self.require(&SERVICE);
        let service = self.choice(&SERVICE, Service::ALL);
        let http = self.http();
        let secret = self.secret(&SECRET);
        Some(ChatOptions {
            http,
            service: service?,
            secret,
        })
    }
}
