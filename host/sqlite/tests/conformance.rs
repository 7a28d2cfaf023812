//! The journal in a file runs the conformance suite.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use batchtask_journal::conformance::Factory;
use batchtask_journal::copy::Content;
use batchtask_journal::{Bounds, Journal};
use batchtask_sqlite::{Options, SqliteContent, SqliteJournal};
use tempfile::TempDir;

/// Opens journals in a temporary folder, which is removed when this is dropped.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.db"))
    }
}

#[async_trait]
impl Factory for Files {
    async fn open(&self, name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        let options = Options {
            bounds,
            ..Options::default()
        };
        Arc::new(SqliteJournal::open(self.path(name), options).expect("a journal"))
    }

    async fn content(&self, name: &str) -> Option<Arc<dyn Content>> {
        let content = SqliteContent::open_or_create(self.path(name));
        Some(Arc::new(content.expect("a journal")))
    }
}

batchtask_journal::conformance_tests!(Files::new());
