//! [`Journal`]: the trait of every backend.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::outbox::Outbox;
use crate::{
    Activity, ActivityQuery, Appended, Details, Entry, Error, HistoryPage, QuarantinePage,
    Quarantined, StoredEvent, Summary, Task, TaskPage, TaskQuery,
};

/// A store of events, such as SQLite or Postgres.
///
/// The functions that read are the same as in `wit/journal.wit`, which documents
/// their results. The functions that write accept batches: [`GroupCommit`] joins
/// the waiting entries, so a backend needs no queue of its own.
///
/// # Rules
///
/// A backend must keep these rules. The conformance suite (feature
/// `conformance`) checks all of them except the promise about the disk.
///
/// 1. **Durable or not at all.** [`commit`](Self::commit) returns `Ok` only when
///    all entries of the batch would survive a loss of power. If it returns an
///    error, none of them is stored. If the backend cannot know (a connection
///    broke during the commit), it returns [`Error::Unavailable`]: the sender
///    repeats the entry, and a repetition is harmless.
/// 2. **One outcome per entry**, in the order of the batch. The entries take
///    effect in that order: an entry sees the effects of those before it, in
///    its own batch as well as in earlier ones.
/// 3. **A task is a function of its events.** The state of a task is its
///    greatest event by `(occurred_at_ms, rank, digest)`; counts, flags and
///    request ids cover all events. The order of arrival changes nothing, with
///    two exceptions: the first arrival of a digest is the one that is kept, and
///    an event without a time is placed by
///    [`placed_at_ms`](crate::placed_at_ms).
/// 4. **A duplicate is written.** Another arrival of a known digest increments
///    the counts of the event and the task, and keeps its request id, durably.
/// 5. **A signature admits one notification.** See
///    [`SignatureStatus`](crate::SignatureStatus). A
///    signature is stored together with its event or reject, or neither is.
///    A backend keeps at most [`Bounds::signatures_max`](crate::Bounds)
///    signatures. Otherwise it forgets a signature only after it expired by a
///    clock that cannot run ahead: if the host's clock jumps ahead and comes
///    back, a used signature is still known.
/// 6. **The quarantine is bounded**, see [`Bounds`](crate::Bounds). The oldest
///    rejects are dropped first, and counted; large rejects do not displace small
///    ones, see [`Shares`](crate::Shares). The numbers of rejects are not reused.
/// 7. **The feed is dense.** The `seq` of events starts at 1 and grows by 1, in
///    the order in which the events become visible, even if several hosts
///    write. A reader that has seen `n` never misses an event with a smaller
///    number. Duplicates have no number. Pruned events are missing, and their
///    numbers are not used again: a reader continues with the next event that
///    exists.
/// 8. **Everything has a bound.** Pages end as [`Page`](crate::page::Page) says;
///    a read that takes too long fails with [`Error::Unavailable`].
/// 9. **Pruned events do not come back.** An event that arrives again after
///    [`prune`](Self::prune) removed it is a duplicate, for at least two days
///    after the removal. It changes only the time of the last arrival.
/// 10. **Details are an addition.** [`describe`](Self::describe) changes only the
///    members of a task that no event has. An older answer changes nothing, so
///    several hosts may describe a task. A pruned task loses its details.
///
/// # Errors
///
/// [`is_retryable`](crate::is_retryable) returns whether the same call may
/// succeed later. Return [`Error::Unavailable`] or [`Error::Full`] only if it
/// may, because the sender is then asked to send the notification again. The
/// text is for the operator: name the store, and say what failed.
///
/// # How a backend is called
///
/// [`GroupCommit`] calls `commit` and [`maintain`](Self::maintain) on a
/// dedicated thread, one call at a time. Both may therefore block that thread.
/// Reads are called from any task, at the same time as writes; they must not
/// block.
///
/// [`GroupCommit`]: crate::GroupCommit
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Makes all entries of `batch` durable and returns the outcome of each entry
    /// in order, or returns an error and stores nothing. The caller has validated
    /// each entry with [`Entry::check`]. The outcome of a probe is `Recorded`.
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error>;

    /// Does work that can wait until a batch has been answered, such as a
    /// checkpoint. Returns whether there is more work to do soon. Called after
    /// every batch, and about every second in between. The next batch waits for
    /// it, so it must be quick.
    async fn maintain(&self) -> bool {
        false
    }

    /// Removes tasks with a final status whose last new event arrived before
    /// `before_ms`, with their events. One call removes few events, so that it is
    /// quick: call it again while [`Pruned::more`] is true. A journal that cannot
    /// be pruned returns [`Error::Unsupported`].
    async fn prune(&self, before_ms: u64) -> Result<Pruned, Error> {
        let _ = before_ms;
        Err(Error::Unsupported("this journal cannot be pruned".into()))
    }

    /// Stores details with their tasks. Details of a task that the journal does not
    /// have, and details that are older than the stored ones, are ignored. The caller
    /// has validated them with [`Details::check`]. Must not block. A journal
    /// that stores no details returns [`Error::Unsupported`].
    async fn describe(&self, details: Vec<Details>) -> Result<(), Error> {
        let _ = details;
        Err(Error::Unsupported("this journal stores no details".into()))
    }

    /// Claims a duty that only one of the hosts of a journal should have, for this
    /// time. Returns whether `holder` has it now: it is free, or `holder` had it
    /// already. With no time, a holder gives it up. A journal of one host has no
    /// other holders.
    async fn claim(&self, duty: &str, holder: &str, time: Duration) -> Result<bool, Error> {
        let _ = (duty, holder, time);
        Ok(true)
    }

    /// Returns one task, or `None` if no event of it was ever recorded.
    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error>;

    /// Returns a page of tasks.
    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error>;

    /// Returns a page of a task's events, in order of occurrence.
    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error>;

    /// Returns events with a `seq` above `after`, in that order, without
    /// waiting. [`GroupCommit::follow`](crate::GroupCommit::follow) waits. A
    /// journal without a feed always returns [`Error::Unsupported`].
    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error>;

    /// Returns a page of the quarantine, newest first.
    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error>;

    /// Returns a reject, or `None` if no reject has this number. A journal
    /// that cannot find it returns [`Error::Unsupported`].
    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        let _ = seq;
        Err(Error::Unsupported("this journal finds no rejects".into()))
    }

    /// Removes a reject from the quarantine, durably. Returns false if no reject
    /// has this number. It does not count as dropped, and its number is not used
    /// again. Must not block. A journal that cannot remove it returns
    /// [`Error::Unsupported`].
    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        let _ = seq;
        Err(Error::Unsupported("this journal drops no rejects".into()))
    }

    /// Returns what arrived during each span in which something arrived, in order.
    /// The query is valid, see [`ActivityQuery`]. It must not read all events. A
    /// journal without these counts returns [`Error::Unsupported`].
    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        let _ = query;
        Err(Error::Unsupported("this journal counts no arrivals".into()))
    }

    /// Returns counts over all tasks. Open tasks whose last new event arrived
    /// before `stale_before_ms` (milliseconds since 1970) are stale.
    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error>;

    /// Returns a channel with the greatest durable `seq`, to wait for the next
    /// event. The sender is dropped when the journal is closed. A journal without
    /// a feed stays at 0.
    fn last_seq(&self) -> watch::Receiver<u64>;

    /// Whether other hosts may write the journal. Then [`last_seq`](Self::last_seq) may
    /// be behind for a moment.
    fn is_shared(&self) -> bool {
        false
    }

    /// Returns the part that stores the progress of sinks. `None`: the events of this
    /// journal cannot be passed on.
    fn outbox(&self) -> Option<&dyn Outbox> {
        None
    }

    /// Returns the backend's own metrics. Must not block.
    fn measures(&self) -> Vec<Measure>;

    /// Ends all work and releases the store. Later calls fail with
    /// [`Error::Unavailable`]; a second `close` does nothing.
    async fn close(&self);
}

/// The result of a call of [`Journal::prune`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pruned {
    /// How many events were removed.
    pub events: u64,
    /// Whether there is more to remove.
    pub more: bool,
}

/// A metric of a backend, such as the size of its log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measure {
    /// The name of the metric, `batchtask_journal_…`, with its unit.
    pub name: &'static str,
    /// A sentence that explains the metric to operators.
    pub help: &'static str,
    /// How the value changes.
    pub kind: MeasureKind,
    /// The value now.
    pub value: u64,
}

/// How the value of a [`Measure`] changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MeasureKind {
    /// It goes up and down.
    Gauge,
    /// It only grows.
    Counter,
}
