//! A receiver in this process, over a journal that a test chooses.

use std::sync::Arc;

use async_trait::async_trait;
use batchtask_host::Intake;
use batchtask_host::component::{BuildError, Message, Options, Request, Response};
use batchtask_host::limits::Limits;
use batchtask_host::span::Tracer;
use batchtask_journal::{
    Activity, ActivityQuery, Appended, Entry, Error, GroupCommit, HistoryPage, Journal, Measure,
    MemoryJournal, QuarantinePage, Quarantined, Source, StoredEvent, Summary, Task, TaskPage,
    TaskQuery, group_commit,
};
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use super::host::CODE_CACHE;

/// Builds a receiver: by default with the embedded component, without settings, and
/// with the default limits.
pub(crate) struct Embedding {
    journal: Arc<dyn Journal>,
    options: Options,
}

impl Embedding {
    /// Begins a receiver over this journal.
    pub(crate) fn over(journal: impl Journal) -> Self {
        Self {
            journal: Arc::new(journal),
            options: Options {
                cache_dir: Some(CODE_CACHE.into()),
                ..Options::default()
            },
        }
    }

    /// Uses another component.
    pub(crate) fn component(mut self, wasm: Vec<u8>) -> Self {
        self.options.wasm = wasm;
        self
    }

    /// Adds a setting.
    pub(crate) fn setting(mut self, (name, value): (&str, &str)) -> Self {
        self.options.settings.set(name, value);
        self
    }

    /// Uses other limits.
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Uses what records traces.
    pub(crate) fn traced_by(mut self, tracer: Tracer) -> Self {
        self.options.tracer = tracer;
        self
    }

    /// Builds the receiver.
    pub(crate) async fn build(self) -> Result<Intake, BuildError> {
        let commits = GroupCommit::new(self.journal, group_commit::Options::default(), None);
        let commits = Arc::new(commits.expect("a thread"));
        Intake::build(commits, &self.options).await
    }
}

/// Returns a request with its complete body.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Request {
    let headers = headers.iter();
    Request {
        method: method.into(),
        target: target.into(),
        headers: headers
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        sender_proven: false,
        over_https: false,
        body: body.into(),
    }
}

/// Returns a notification from another channel than HTTP. Its source is the same as
/// that of HTTP, so that both store the same event.
pub(crate) fn message(body: impl Into<Vec<u8>>) -> Message {
    Message {
        source: Source::Push,
        body: body.into(),
    }
}

/// Parses the body of a response, which must be JSON.
pub(crate) fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

/// A journal in memory whose calls fail, or whose commits wait.
pub(crate) struct FaultyJournal {
    memory: MemoryJournal,
    /// The error of every call, or `None` if calls succeed.
    error: Option<Error>,
    /// Held during each commit.
    commits: Arc<Mutex<()>>,
    /// A last `seq` greater than that of any reader of the feed. So a failing journal
    /// is read at once, instead of waiting for an event.
    last_seq: watch::Sender<u64>,
}

impl FaultyJournal {
    /// Returns a journal whose calls all fail with this error.
    pub(crate) fn failing(error: Error) -> Self {
        Self {
            error: Some(error),
            ..Self::waiting_for(Arc::default())
        }
    }

    /// Returns a journal whose commits wait while the test holds this lock.
    pub(crate) fn waiting_for(commits: Arc<Mutex<()>>) -> Self {
        Self {
            memory: MemoryJournal::default(),
            error: None,
            commits,
            last_seq: watch::Sender::new(u64::MAX),
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.error.clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Journal for FaultyJournal {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        self.check()?;
        let _turn = self.commits.lock().await;
        self.memory.commit(batch).await
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        self.check()?;
        self.memory.find_task(app_id, task_id).await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        self.check()?;
        self.memory.list_tasks(query).await
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        self.check()?;
        let history = self.memory.list_history(app_id, task_id, cursor, limit);
        history.await
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.check()?;
        self.memory.events_after(after, limit).await
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        self.check()?;
        self.memory.list_quarantine(cursor, limit).await
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        self.check()?;
        self.memory.find_reject(seq).await
    }

    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        self.check()?;
        self.memory.drop_reject(seq).await
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        self.check()?;
        self.memory.list_activity(query).await
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.check()?;
        self.memory.summarize(stale_before_ms).await
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        match self.error {
            Some(_) => self.last_seq.subscribe(),
            None => self.memory.last_seq(),
        }
    }

    fn measures(&self) -> Vec<Measure> {
        self.memory.measures()
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}
