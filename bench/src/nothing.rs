//! The host's library over a journal that keeps nothing: what is left is HTTP,
//! the component, and the way between them.

use std::sync::Arc;

use batchtask::Receiver;
use batchtask::journal::{
    Appended, Error, Event, HistoryPage, Journal, Nonce, QuarantinePage, Reject, StoredEvent,
    Summary, Task, TaskPage, TaskQuery,
};
use batchtask::limits::Limits;
use batchtask::metrics::Metrics;
use batchtask::server::Server;
use tokio::net::TcpListener;

/// The longest body that is read.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Serves until the process is killed; says where on stderr.
pub(crate) async fn serve(instance_reuse: u32) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new()?);
    let receiver = Receiver::builder(Arc::new(Nothing))
        .instance_reuse(instance_reuse)
        .metrics(metrics.clone())
        .build()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Server::new(
        Arc::new(receiver),
        MAX_BODY_BYTES,
        Limits::DEFAULT,
        metrics,
        None,
    )
    .serve(listener, std::future::pending())
    .await;
    Ok(())
}

/// Says `recorded` to everything, which is untrue.
struct Nothing;

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Unsupported("nothing is kept".into()))
}

#[async_trait::async_trait]
impl Journal for Nothing {
    async fn append(&self, _: Event, _: Option<Nonce>) -> Result<Appended, Error> {
        Ok(Appended::Recorded)
    }
    async fn quarantine(&self, _: Reject, _: Option<Nonce>) -> Result<Appended, Error> {
        Ok(Appended::Recorded)
    }
    async fn find_task(&self, _: String, _: String) -> Result<Option<Task>, Error> {
        unsupported()
    }
    async fn list_tasks(&self, _: TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }
    async fn list_history(
        &self,
        _: String,
        _: String,
        _: Option<String>,
        _: u32,
    ) -> Result<HistoryPage, Error> {
        unsupported()
    }
    async fn follow(&self, _: u64, _: u32, _: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }
    async fn list_quarantine(&self, _: Option<String>, _: u32) -> Result<QuarantinePage, Error> {
        unsupported()
    }
    async fn summarize(&self, _: u64) -> Result<Summary, Error> {
        unsupported()
    }
}
