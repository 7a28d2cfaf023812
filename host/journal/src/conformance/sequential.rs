//! [`Sequential`]: turns a journal of the guest into a journal of a host.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use batchtask_guest::journal::{Journal as GuestJournal, PAGE_ITEMS_MAX};
use tokio::sync::watch;

use crate::{
    Activity, ActivityQuery, Appended, Entry, Error, HistoryPage, Journal, Measure, QuarantinePage,
    Quarantined, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};

/// Wraps a store that implements the guest's synchronous trait, such as an
/// adapter's, so that the suite can run over it. Do not use it in production: it
/// appends the entries of a batch one after the other, so a batch is not atomic.
pub struct Sequential<J> {
    /// `None` once the journal is closed.
    store: Mutex<Option<J>>,
    last_seq: watch::Sender<u64>,
}

impl<J: GuestJournal> Sequential<J> {
    /// Returns a journal over this store.
    pub fn new(store: J) -> Self {
        Self {
            store: Mutex::new(Some(store)),
            last_seq: watch::Sender::new(0),
        }
    }

    /// Updates `last_seq` by reading the feed to its end. A store without a feed
    /// stays at 0.
    fn update_last_seq(&self, store: &J) {
        let after = || *self.last_seq.borrow();
        while let Ok(events) = store.follow(after(), PAGE_ITEMS_MAX, 0)
            && let Some(last) = events.last()
        {
            self.last_seq.send_replace(last.seq);
        }
    }

    /// Runs `work` on the store, unless the journal is closed.
    fn with<T>(&self, work: impl FnOnce(&J) -> Result<T, Error>) -> Result<T, Error> {
        let closed = || Error::Unavailable("the journal is closed".into());
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().ok_or_else(closed).and_then(work)
    }
}

fn append(store: &impl GuestJournal, entry: Entry) -> Result<Appended, Error> {
    match entry {
        Entry::Event(event, signature) => store.append(&event, signature.as_ref()),
        Entry::Reject(reject, signature) => store.quarantine(&reject, signature.as_ref()),
        Entry::Probe => Ok(Appended::Recorded),
    }
}

#[async_trait]
impl<J: GuestJournal + Send + 'static> Journal for Sequential<J> {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        self.with(|store| {
            let entries = batch.into_iter();
            let outcomes = entries.map(|entry| append(store, entry)).collect();
            self.update_last_seq(store);
            outcomes
        })
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        self.with(|store| store.find_task(app_id, task_id))
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        self.with(|store| store.list_tasks(query))
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        self.with(|store| store.list_history(app_id, task_id, cursor, limit))
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        self.with(|store| store.follow(after, limit, 0))
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        self.with(|store| store.list_quarantine(cursor, limit))
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        self.with(|store| store.find_reject(seq))
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        self.with(|store| store.list_activity(query))
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.with(|store| store.summarize(stale_before_ms))
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.subscribe()
    }

    fn measures(&self) -> Vec<Measure> {
        Vec::new()
    }

    async fn close(&self) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
