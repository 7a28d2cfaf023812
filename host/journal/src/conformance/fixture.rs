//! Helpers of the checks: journals under test, and entries to store in them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::factory::{Capabilities, Factory};
use crate::copy::Content;
use crate::group_commit::BATCH_MAX_ENTRIES;
use crate::{
    Appended, Bounds, Entry, Error, Event, EventFlags, Journal, Reject, SignatureUse, Source,
    StoredEvent, Task, TaskPage, TaskQuery,
};

/// The time of most arrivals, in milliseconds since 1970.
pub(super) const NOW_MS: u64 = 1_700_000_000_000;

/// Opens the journals of a check.
#[derive(Clone)]
pub(super) struct Suite {
    factory: Arc<dyn Factory>,
    pub(super) capabilities: Capabilities,
    names: Arc<AtomicU64>,
}

impl Suite {
    pub(super) fn new(factory: Arc<dyn Factory>) -> Self {
        Self {
            capabilities: factory.capabilities(),
            factory,
            names: Arc::default(),
        }
    }

    /// Opens an empty journal.
    pub(super) async fn journal(&self) -> Fixture {
        self.journal_with(Bounds::default()).await
    }

    /// Opens an empty journal with these bounds.
    pub(super) async fn journal_with(&self, bounds: Bounds) -> Fixture {
        self.closed(bounds).open().await
    }

    /// Returns a journal that does not exist yet.
    pub(super) fn closed(&self, bounds: Bounds) -> Closed {
        Closed {
            suite: self.clone(),
            name: self.names.fetch_add(1, Relaxed).to_string(),
            bounds,
        }
    }
}

/// A journal that is not open.
pub(super) struct Closed {
    suite: Suite,
    name: String,
    bounds: Bounds,
}

impl Closed {
    pub(super) async fn open(self) -> Fixture {
        let journal = self.suite.factory.open(&self.name, self.bounds).await;
        Fixture {
            closed: self,
            journal,
        }
    }

    /// Opens the content for a copy. Returns `None` if the backend cannot do this.
    pub(super) async fn content(&self) -> Option<Arc<dyn Content>> {
        self.suite.factory.content(&self.name).await
    }
}

/// A journal under test.
pub(super) struct Fixture {
    closed: Closed,
    journal: Arc<dyn Journal>,
}

impl Deref for Fixture {
    type Target = dyn Journal;

    fn deref(&self) -> &Self::Target {
        self.journal.as_ref()
    }
}

impl Fixture {
    /// Closes the journal and opens it again.
    pub(super) async fn reopen(self) -> Self {
        self.into_closed().await.open().await
    }

    /// Closes the journal.
    pub(super) async fn into_closed(self) -> Closed {
        let Self { closed, journal } = self;
        journal.close().await;
        closed
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.closed.suite.capabilities
    }

    pub(super) fn shared(&self) -> Arc<dyn Journal> {
        self.journal.clone()
    }

    /// Commits entries in batches as group commit does. All must succeed.
    pub(super) async fn commit_all(&self, batch: Vec<Entry>) -> Vec<Appended> {
        for entry in &batch {
            entry.check().expect("valid");
        }
        let mut outcomes = Vec::new();
        let mut rest = batch.into_iter();
        while rest.len() > 0 {
            let batch: Vec<Entry> = rest.by_ref().take(BATCH_MAX_ENTRIES).collect();
            let entries = batch.len();
            let committed = self.commit(batch).await.expect("committed");
            assert_eq!(committed.len(), entries, "an outcome for each entry");
            outcomes.extend(committed);
        }
        outcomes
    }

    async fn commit_one(&self, entry: Entry) -> Appended {
        self.commit_all(vec![entry]).await.remove(0)
    }

    pub(super) async fn append(&self, event: Event) -> Appended {
        self.commit_one(Entry::Event(event, None)).await
    }

    pub(super) async fn append_signed(&self, event: Event, signature: SignatureUse) -> Appended {
        self.commit_one(Entry::Event(event, Some(signature))).await
    }

    /// Appends a new event.
    pub(super) async fn record(&self, event: Event) {
        assert_eq!(self.append(event).await, Appended::Recorded);
    }

    pub(super) async fn quarantine(&self, reject: Reject) -> Appended {
        self.commit_one(Entry::Reject(reject, None)).await
    }

    pub(super) async fn quarantine_signed(
        &self,
        reject: Reject,
        signature: SignatureUse,
    ) -> Appended {
        self.commit_one(Entry::Reject(reject, Some(signature)))
            .await
    }

    /// A task of the application `app`.
    pub(super) async fn task(&self, task_id: &str) -> Task {
        let found = self.find_task("app", task_id).await.expect("readable");
        found.expect("a known task")
    }

    /// The first page of the history of a task of the application `app`.
    pub(super) async fn history(&self, task_id: &str) -> Vec<StoredEvent> {
        let page = self.list_history("app", task_id, None, 500).await;
        page.expect("readable").events
    }

    pub(super) async fn tasks(&self, query: &TaskQuery) -> TaskPage {
        self.list_tasks(query).await.expect("readable")
    }

    /// The ids of all tasks of a list, from page to page.
    pub(super) async fn all_pages(&self, query: &TaskQuery) -> Vec<String> {
        let mut query = query.clone();
        let mut found = Vec::new();
        loop {
            let page = self.tasks(&query).await;
            found.extend(task_ids(&page).into_iter().map(str::to_owned));
            query.cursor = page.next;
            if query.cursor.is_none() {
                return found;
            }
            assert!(found.len() < 10_000, "the pages never end");
        }
    }

    /// The ids of the tasks of a list, read from its last page to its first.
    pub(super) async fn all_pages_back(&self, query: &TaskQuery) -> Vec<String> {
        let mut query = query.clone();
        let mut page = self.tasks(&query).await;
        while page.next.is_some() {
            query.cursor = page.next;
            page = self.tasks(&query).await;
        }
        let mut found = Vec::new();
        loop {
            let ids = task_ids(&page).into_iter().map(str::to_owned);
            found.splice(0..0, ids);
            query.cursor = page.previous;
            if query.cursor.is_none() {
                return found;
            }
            page = self.tasks(&query).await;
            assert!(found.len() < 10_000, "the pages never end");
        }
    }

    /// The whole feed, from page to page.
    pub(super) async fn feed(&self, limit: u32) -> Vec<StoredEvent> {
        let mut all: Vec<StoredEvent> = Vec::new();
        loop {
            let after = all.last().map_or(0, |last| last.seq);
            let events = self.events_after(after, limit).await.expect("readable");
            if events.is_empty() {
                return all;
            }
            all.extend(events);
            assert!(all.len() < 10_000, "the feed never ends");
        }
    }

    /// How many rejects are in the quarantine, at most 500.
    pub(super) async fn quarantined(&self) -> usize {
        let page = self.list_quarantine(None, 500).await;
        page.expect("readable").rejects.len()
    }
}

/// An event of the application `app`. Its digest covers all arguments.
pub(super) fn event(task_id: &str, status: &str, occurred_at_ms: u64) -> Event {
    Event {
        app_id: "app".into(),
        task_id: task_id.into(),
        task_type: "softwareUpgrade".into(),
        status: status.into(),
        status_desc: String::new(),
        event_time: Some("20231114T221320Z".into()),
        event_time_ms: Some("2023-11-14T22:13:20.000Z".into()),
        request_id: None,
        digest: digest(&(task_id, status, occurred_at_ms)),
        occurred_at_ms,
        rank: 2,
        received_at_ms: NOW_MS,
        source: Source::Push,
        signature: None,
        flags: EventFlags::empty(),
        body: b"{}".to_vec(),
    }
}

/// A reject that arrives at [`NOW_MS`].
pub(super) fn reject(body: &[u8]) -> Reject {
    Reject {
        received_at_ms: NOW_MS,
        reason: "not-json".into(),
        detail: String::new(),
        pointer: None,
        body: body.to_vec(),
    }
}

/// 32 bytes that differ if `content` differs.
pub(super) fn digest(content: &impl Hash) -> Vec<u8> {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, content).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    [0, 1, 2, 3].map(part).concat()
}

/// The use of the signature called `name` for this event.
pub(super) fn signed(name: &str, event: &Event, expires_at_ms: u64) -> SignatureUse {
    signature(name, event.digest.clone(), expires_at_ms)
}

/// The use of the signature called `name` for this reject.
pub(super) fn signed_reject(name: &str, reject: &Reject, expires_at_ms: u64) -> SignatureUse {
    signature(name, digest(&reject.body), expires_at_ms)
}

fn signature(name: &str, digest_of_content: Vec<u8>, expires_at_ms: u64) -> SignatureUse {
    SignatureUse {
        signature: batchtask_notification::hex(&digest(&name)),
        digest: digest_of_content,
        expires_at_ms,
    }
}

/// All tasks, newest first.
pub(super) fn all_tasks() -> TaskQuery {
    TaskQuery::all()
}

pub(super) fn task_ids(page: &TaskPage) -> Vec<&str> {
    let tasks = page.tasks.iter();
    tasks.map(|task| task.task_id.as_str()).collect()
}

#[track_caller]
pub(super) fn assert_invalid_cursor<T>(result: Result<T, Error>) {
    assert!(
        matches!(result, Err(Error::InvalidCursor(_))),
        "{:?}",
        result.err()
    );
}

#[track_caller]
pub(super) fn assert_unsupported<T>(result: Result<T, Error>) {
    assert!(
        matches!(result, Err(Error::Unsupported(_))),
        "{:?}",
        result.err()
    );
}
