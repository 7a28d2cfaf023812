//! The journal in a file runs the conformance suite.

use std::sync::Arc;

use async_trait::async_trait;
use batchtask_journal::conformance::Factory;
use batchtask_journal::{Bounds, Journal};
use batchtask_sqlite::{Options, SqliteJournal};
use tempfile::TempDir;

/// Opens journals in a temporary folder, which is removed when this is dropped.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }
}

#[async_trait]
impl Factory for Files {
    async fn open(&self, name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        let options = Options {
            bounds,
            ..Options::default()
        };
        let path = self.0.path().join(format!("{name}.db"));
        Arc::new(SqliteJournal::open(path, options).expect("a journal"))
    }
}

batchtask_journal::conformance_tests!(Files::new());
