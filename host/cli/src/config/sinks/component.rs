//! The keys of components.

use std::path::Path;

use batchtask_relay::{ComponentOptions, Origin};

use super::keys::{ALLOW_LINK_LOCAL, ALLOW_PRIVATE, COMPONENT, HOSTS, MEMORY_MIB, SETTINGS};
use super::reader::Reader;

impl Reader<'_> {
    /// Compiled code is cached in `cache_dir`.
    pub(super) fn component(&mut self, cache_dir: Option<&Path>) -> ComponentOptions {
        self.require(&COMPONENT);
        ComponentOptions {
            wasm: self.file(&COMPONENT).unwrap_or_default(),
            settings: self.secrets(&SETTINGS),
            hosts: self.hosts(),
            headers: self.headers(),
            tls: self.tls(),
            memory_bytes: self.number(&MEMORY_MIB, 1..=1024).unwrap_or(1) << 20,
            timeout: self.timeout(),
            allow_private: self.switch(&ALLOW_PRIVATE),
            allow_link_local: self.switch(&ALLOW_LINK_LOCAL),
            cache_dir: cache_dir.map(Path::to_owned),
        }
    }

    fn hosts(&mut self) -> Vec<Origin> {
        let texts = self.texts(&HOSTS);
        let origins: Result<Vec<Origin>, _> =
            texts.iter().map(|text| Origin::parse(text)).collect();
        origins.unwrap_or_else(|error| {
            self.refuse(&HOSTS, format!("cannot be used: {error}"));
            Vec::new()
        })
    }
}
