//! The keys of webhooks.

use batchtask_relay::{Mode, WebhookOptions};
use batchtask_webhook::Key;

use super::keys::{HEADERS, MODE, SECRET};
use super::reader::Reader;

impl Reader<'_> {
    pub(super) fn webhook(&mut self) -> WebhookOptions {
        WebhookOptions {
            http: self.http(),
            mode: self
                .choice(
                    &MODE,
                    &[("structured", Mode::Structured), ("binary", Mode::Binary)],
                )
                .unwrap_or_default(),
            keys: self.signing_keys(),
            headers: self.headers(),
        }
    }

    fn signing_keys(&mut self) -> Vec<Key> {
        if !self.has(&SECRET) {
            return Vec::new();
        }
        let secrets = self.list(&SECRET);
        let faults = self.faults().len();
        let keys = secrets
            .iter()
            .map(|raw| Key::of(&self.secret_of(&SECRET, raw)?));
        let keys: Option<Vec<Key>> = keys.collect();
        match keys {
            Some(keys) if (1..=2).contains(&keys.len()) => keys,
            // The file of the secret has a fault of its own.
            _ if self.faults().len() > faults => Vec::new(),
            _ => self.refuse_form(&SECRET).unwrap_or_default(),
        }
    }

    pub(super) fn headers(&mut self) -> Vec<(String, String)> {
        self.secrets(&HEADERS)
    }
}
