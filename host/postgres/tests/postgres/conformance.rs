//! The journal in PostgreSQL runs the conformance suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batchtask_journal::conformance::Factory;
use batchtask_journal::copy::Content;
use batchtask_journal::{Bounds, Journal};
use batchtask_postgres::{Options, PostgresContent, PostgresJournal};

use crate::support::Database;

#[async_trait]
impl Factory for Database {
    async fn open(&self, name: &str, bounds: Bounds) -> Arc<dyn Journal> {
        let options = Options {
            bounds,
            // The suite is not about time, and runs beside other tests.
            commit_timeout: Duration::from_secs(60),
            ..Options::default()
        };
        let config = self.config(name);
        let journal = PostgresJournal::open(&config, options).await;
        Arc::new(journal.expect("a journal"))
    }

    async fn content(&self, name: &str) -> Option<Arc<dyn Content>> {
        let content = PostgresContent::open_or_create(&self.config(name)).await;
        Some(Arc::new(content.expect("a journal")))
    }
}

batchtask_journal::conformance_tests!(match Database::shared() {
    Some(database) => database,
    None => return,
});
