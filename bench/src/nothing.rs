//! The host's library over a journal that stores nothing, to measure HTTP, the
//! component, and group commit only.

use std::sync::Arc;

use batchtask_host::Intake;
use batchtask_host::component::{DEFAULT_REUSE, Options};
use batchtask_host::http::Server;
use batchtask_host::limits::Limits;
use batchtask_journal::{
    Appended, Entry, Error, GroupCommit, HistoryPage, Journal, Measure, QuarantinePage,
    StoredEvent, Summary, Task, TaskPage, TaskQuery, group_commit,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::load;

/// Serves until the process is killed. Prints the address on standard error.
pub(crate) async fn serve(instance_reuse: u32) -> anyhow::Result<()> {
    let (server, listener) = start(instance_reuse).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    server.serve(listener, std::future::pending()).await;
    Ok(())
}

/// Serves on one thread, and pushes this many notifications, one after the other.
pub(crate) fn push(times: u64) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (server, listener) = start(DEFAULT_REUSE).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(server.serve(listener, std::future::pending()));
        load::push(address, times).await?;
        serving.abort();
        Ok(())
    })
}

async fn start(instance_reuse: u32) -> anyhow::Result<(Arc<Server>, TcpListener)> {
    let options = Options {
        reuse: instance_reuse,
        // Compiling takes thousands of times what a push takes, and never the same.
        cache_dir: Some("target/bench/code".into()),
        limits: Limits {
            max_in_flight: 4096,
            ..Limits::DEFAULT
        },
        ..Options::default()
    };
    let journal = GroupCommit::new(Arc::new(Nothing), group_commit::Options::default(), None)?;
    let intake = Arc::new(Intake::build(Arc::new(journal), &options).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = Server::new(intake, options.limits, None, &options.registry)?;
    Ok((Arc::new(server), listener))
}

/// A journal that stores nothing, although it answers `recorded` to everything.
struct Nothing;

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::Unsupported("this journal stores nothing".into()))
}

#[async_trait::async_trait]
impl Journal for Nothing {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        Ok(vec![Appended::Recorded; batch.len()])
    }
    async fn find_task(&self, _: &str, _: &str) -> Result<Option<Task>, Error> {
        unsupported()
    }
    async fn list_tasks(&self, _: &TaskQuery) -> Result<TaskPage, Error> {
        unsupported()
    }
    async fn list_history(
        &self,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: u32,
    ) -> Result<HistoryPage, Error> {
        unsupported()
    }
    async fn events_after(&self, _: u64, _: u32) -> Result<Vec<StoredEvent>, Error> {
        unsupported()
    }
    async fn list_quarantine(&self, _: Option<&str>, _: u32) -> Result<QuarantinePage, Error> {
        unsupported()
    }
    async fn summarize(&self, _: u64) -> Result<Summary, Error> {
        unsupported()
    }
    fn last_seq(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
    fn measures(&self) -> Vec<Measure> {
        Vec::new()
    }
    async fn close(&self) {}
}
