//! [`MemoryJournal`]: a complete journal in memory, for tests, benchmarks and
//! examples.

mod sinks;
mod state;
mod view;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_guest::journal::Journal as GuestJournal;
use tokio::sync::watch;

use self::state::State;
use crate::outbox::{Acquired, Hold, Outbox, SinkChange, SinkState};
use crate::{
    Activity, ActivityQuery, Appended, Bounds, Details, Entry, Error, Event, HistoryPage, Journal,
    Measure, MeasureKind, Pruned, QuarantinePage, Quarantined, Reject, SignatureUse, StoredEvent,
    Summary, Task, TaskPage, TaskQuery,
};

/// A journal in memory. It implements both the [`Journal`] of a host and the
/// [`Journal`](GuestJournal) of the guest; the `follow` of the latter does not
/// wait.
pub struct MemoryJournal {
    /// `None` once the journal is closed.
    state: Mutex<Option<State>>,
    last_seq: watch::Receiver<u64>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl MemoryJournal {
    /// Returns an empty journal.
    pub fn new(bounds: Bounds) -> Self {
        let (sender, last_seq) = watch::channel(0);
        Self {
            state: Mutex::new(Some(State::new(bounds, sender))),
            last_seq,
        }
    }

    /// Runs `work` on the state, unless the journal is closed.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let closed = || Error::Unavailable("the journal is closed".into());
        self.state().as_mut().ok_or_else(closed).and_then(work)
    }

    fn append_one(&self, entry: Entry) -> Result<Appended, Error> {
        entry.check()?;
        self.with(|state| Ok(state.apply(entry)))
    }

    /// Locks the state. A poisoned lock is ignored, because the panic fails the
    /// test anyway.
    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        self.with(|state| Ok(batch.into_iter().map(|entry| state.apply(entry)).collect()))
    }

    async fn prune(&self, before_ms: u64) -> Result<Pruned, Error> {
        self.with(|state| Ok(state.prune(before_ms)))
    }

    async fn describe(&self, details: Vec<Details>) -> Result<(), Error> {
        self.with(|state| {
            details.into_iter().for_each(|it| state.describe(it));
            Ok(())
        })
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        GuestJournal::find_task(self, app_id, task_id)
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        GuestJournal::list_tasks(self, query)
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        GuestJournal::list_history(self, app_id, task_id, cursor, limit)
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        GuestJournal::follow(self, after, limit, 0)
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        GuestJournal::list_quarantine(self, cursor, limit)
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        GuestJournal::find_reject(self, seq)
    }

    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        self.with(|state| Ok(state.quarantine.remove(seq)))
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        GuestJournal::list_activity(self, query)
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        GuestJournal::summarize(self, stale_before_ms)
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.last_seq.clone()
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn measures(&self) -> Vec<Measure> {
        let state = self.state();
        let (bytes, dropped) = state.as_ref().map_or((0, 0), State::quarantine_totals);
        vec![
            Measure {
                name: "batchtask_journal_quarantine_bytes",
                help: "Size of the quarantine now.",
                kind: MeasureKind::Gauge,
                value: bytes,
            },
            Measure {
                name: "batchtask_journal_quarantine_dropped_total",
                help: "Rejects dropped to keep the quarantine within its bound.",
                kind: MeasureKind::Counter,
                value: dropped,
            },
        ]
    }

    async fn close(&self) {
        *self.state() = None;
    }
}

#[async_trait]
impl Outbox for MemoryJournal {
    async fn acquire(
        &self,
        sink: &str,
        owner: &str,
        _lease: Duration,
        position: u64,
    ) -> Result<Acquired, Error> {
        self.with(|state| Ok(state.sinks.acquire(sink, owner, position)))
    }

    async fn renew(&self, sink: &str, fence: u64, _lease: Duration) -> Result<Hold, Error> {
        self.with(|state| Ok(state.sinks.hold(sink, fence)))
    }

    async fn release(&self, sink: &str, fence: u64) -> Result<Hold, Error> {
        self.with(|state| Ok(state.sinks.release(sink, fence)))
    }

    async fn load(&self, sink: &str) -> Result<Option<SinkState>, Error> {
        self.with(|state| Ok(state.sinks.load(sink)))
    }

    async fn save(&self, sink: &str, fence: u64, change: &SinkChange) -> Result<Hold, Error> {
        self.with(|state| Ok(state.sinks.save(sink, fence, change)))
    }
}

impl GuestJournal for MemoryJournal {
    fn append(&self, event: &Event, signature: Option<&SignatureUse>) -> Result<Appended, Error> {
        self.append_one(Entry::Event(event.clone(), signature.cloned()))
    }

    fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        self.append_one(Entry::Reject(reject.clone(), signature.cloned()))
    }

    fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        self.with(|state| Ok(state.find_task(app_id, task_id)))
    }

    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        self.with(|state| state.list_tasks(query))
    }

    fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        self.with(|state| state.list_history(app_id, task_id, cursor, limit))
    }

    fn follow(&self, after: u64, limit: u32, _wait_ms: u32) -> Result<Vec<StoredEvent>, Error> {
        self.with(|state| Ok(state.events_after(after, limit)))
    }

    fn list_quarantine(&self, cursor: Option<&str>, limit: u32) -> Result<QuarantinePage, Error> {
        self.with(|state| state.list_quarantine(cursor, limit))
    }

    fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        self.with(|state| Ok(state.find_reject(seq)))
    }

    fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        self.with(|state| Ok(state.list_activity(query)))
    }

    fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        self.with(|state| Ok(state.summarize(stale_before_ms)))
    }
}
