//! [`Broken`]: a journal that breaks a rule, to show that the suite finds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use batchtask_guest::journal::DIGEST_BYTES;
use tokio::sync::watch;

use super::fixture::NOW_MS;
use crate::outbox::{Acquired, Hold, Outbox, SinkChange, SinkState};
use crate::{
    Activity, ActivityQuery, Appended, Details, Entry, Error, Event, EventFlags, HistoryPage,
    Journal, Measure, Pruned, QuarantinePage, Quarantined, SignatureUse, Source, StepFlags,
    StoredEvent, Summary, Task, TaskOrder, TaskPage, TaskQuery, TaskSort,
};

/// Declares an enum whose cases are listed in `ALL`.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident)+) => {
        /// A rule that a [`Broken`] journal breaks.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

faults! {
    /// The outcome of a duplicate is `Recorded`.
    DuplicateIsRecorded
    /// The last entry of a batch has an outcome, but is not stored.
    LosesLastOfBatch
    /// The entries of a batch take effect in reverse order.
    ReversesBatch
    /// Signatures are not remembered.
    ForgetsSignatures
    /// A signature admits any notification.
    SignatureAdmitsAny
    /// A signature does not even admit its own notification again.
    SignatureAdmitsOnce
    /// Signatures never expire.
    SignatureNeverExpires
    /// Bodies are converted to UTF-8, with replacement characters.
    BodyIsText
    /// All events are stored as pushed.
    LosesSource
    /// Flags are not stored.
    LosesFlags
    /// Request ids are not stored.
    LosesRequestIds
    /// The result of the signature check is not stored.
    LosesSignatureResult
    /// The state is the event that arrived last.
    StateIsLastArrival
    /// Ranks are not stored.
    LosesRank
    /// Rejects are not stored.
    LosesRejects
    /// The filter by status is ignored.
    IgnoresStatus
    /// The filter by class is ignored.
    IgnoresClass
    /// The filter by type is ignored.
    IgnoresType
    /// The filter by application is ignored.
    IgnoresApplication
    /// The filter by text is ignored.
    IgnoresText
    /// The filter by text is case-sensitive.
    TextIsCaseSensitive
    /// The beginning of the time range is ignored.
    IgnoresSince
    /// The end of the time range is ignored.
    IgnoresUntil
    /// Only the first value of a filter is used.
    OnlyFirstValue
    /// The filter by flags is ignored.
    IgnoresFlags
    /// The filter by steps is ignored.
    IgnoresSteps
    /// The filter by staleness is ignored.
    IgnoresStale
    /// Tasks are always sorted by their last change.
    IgnoresSort
    /// Tasks are always listed newest first.
    IgnoresOrder
    /// No page has a cursor of a previous page.
    HasNoPreviousPage
    /// Every page has a cursor of a previous page.
    HasPreviousPageAtStart
    /// Tasks are not counted.
    CountsNothing
    /// Only the tasks of the page are counted.
    CountsPage
    /// The count of a list does not tell that there are more.
    CountHasNoBound
    /// Facts about steps are not returned.
    LosesSteps
    /// Rejects are not found by their numbers.
    FindsNoReject
    /// Rejects are not removed.
    DropsNoReject
    /// Arrivals are not counted.
    LosesActivity
    /// Arrivals are counted in the span after their own.
    ShiftsActivity
    /// A change from a query is an arrival.
    QueryIsArrival
    /// Every page of tasks is the first page.
    IgnoresCursor
    /// A cursor of another list is accepted.
    AcceptsAnyCursor
    /// Pages always have up to 500 items.
    IgnoresLimit
    /// No page has a cursor of a next page.
    HasNoNextPage
    /// The status before a page of a history is missing.
    LosesPreviousStatus
    /// No event is marked as late.
    NeverLate
    /// The feed skips every fifth event.
    SkipsInFeed
    /// The feed repeats the last event.
    RepeatsInFeed
    /// The greatest number in the feed stays 0.
    LosesLastSeq
    /// Rejects are listed oldest first.
    OldestRejectsFirst
    /// Dropped rejects are not counted.
    ForgetsDropped
    /// No task is counted as stale.
    NothingIsStale
    /// The time of the last arrival is missing.
    LosesLastArrival
    /// All statuses are counted together.
    MergesStatuses
    /// Nothing is pruned.
    PrunesNothing
    /// Tasks are pruned whatever their last arrival is.
    PrunesAll
    /// Details are not stored.
    LosesDetails
    /// The details that came last are kept, whatever their time is.
    KeepsLastDetails
    /// The devices of a former answer are lost with the next answer.
    LosesFailedDevices
    /// Nothing is measured.
    MeasuresNothing
    /// The journal can be used after it was closed.
    NeverCloses
    /// A former owner of a sink can change it.
    IgnoresFence
    /// Dead letters are not stored.
    LosesDeadLetters
    /// The memo of a sink is not stored.
    LosesMemo
    /// A change without a memo removes the memo of a sink.
    ForgetsMemo
}

/// Wraps a journal and adds a fault.
pub struct Broken {
    journal: Arc<dyn Journal>,
    fault: Fault,
    arrivals: AtomicU64,
    /// A last `seq` that stays 0.
    zero_seq: watch::Sender<u64>,
    /// The fencing number of the last owner of any sink.
    fence: AtomicU64,
}

impl Broken {
    /// Adds `fault` to `journal`.
    pub fn new(journal: Arc<dyn Journal>, fault: Fault) -> Self {
        Self {
            journal,
            fault,
            arrivals: AtomicU64::new(0),
            zero_seq: watch::Sender::new(0),
            fence: AtomicU64::new(0),
        }
    }

    fn spoil(&self, entry: &mut Entry) {
        match entry {
            Entry::Event(event, signature) => {
                self.spoil_event(event);
                self.spoil_signature(signature);
            }
            Entry::Reject(reject, signature) => {
                self.spoil_body(&mut reject.body);
                self.spoil_signature(signature);
                if self.fault == Fault::LosesRejects {
                    *entry = Entry::Probe;
                }
            }
            Entry::Probe => {}
        }
    }

    fn spoil_event(&self, event: &mut Event) {
        self.spoil_body(&mut event.body);
        match self.fault {
            Fault::LosesSource => event.source = Source::Push,
            Fault::LosesFlags => event.flags = EventFlags::empty(),
            Fault::LosesRequestIds => event.request_id = None,
            Fault::LosesSignatureResult => event.signature = None,
            Fault::LosesRank => event.rank = 0,
            Fault::QueryIsArrival => {
                self.arrivals.fetch_max(event.received_at_ms, Relaxed);
            }
            Fault::StateIsLastArrival => {
                event.occurred_at_ms = self.arrivals.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }

    fn spoil_body(&self, body: &mut Vec<u8>) {
        if self.fault == Fault::BodyIsText {
            *body = String::from_utf8_lossy(body).into_owned().into_bytes();
        }
    }

    fn spoil_signature(&self, signature: &mut Option<SignatureUse>) {
        let Some(known) = signature else { return };
        match self.fault {
            Fault::ForgetsSignatures => *signature = None,
            Fault::SignatureAdmitsAny => known.digest = vec![0; DIGEST_BYTES],
            Fault::SignatureAdmitsOnce => {
                let number = self.arrivals.fetch_add(1, Relaxed).to_be_bytes();
                known.digest = number.repeat(DIGEST_BYTES / number.len());
            }
            Fault::SignatureNeverExpires => known.expires_at_ms = u64::MAX,
            _ => {}
        }
    }

    fn spoil_query(&self, query: &mut TaskQuery) {
        match self.fault {
            Fault::IgnoresStatus => query.statuses.clear(),
            Fault::IgnoresClass => query.classes.clear(),
            Fault::IgnoresType => query.task_types.clear(),
            Fault::IgnoresApplication => query.app_ids.clear(),
            Fault::IgnoresText => query.text = None,
            Fault::IgnoresSince => query.since_ms = None,
            Fault::IgnoresUntil => query.until_ms = None,
            Fault::OnlyFirstValue => {
                query.statuses.truncate(1);
                query.classes.truncate(1);
            }
            Fault::IgnoresFlags => query.flags = EventFlags::empty(),
            Fault::IgnoresSteps => query.steps = StepFlags::empty(),
            Fault::IgnoresStale => query.stale_before_ms = None,
            Fault::IgnoresSort => query.sort = TaskSort::Changed,
            Fault::IgnoresOrder => query.order = TaskOrder::Descending,
            Fault::IgnoresCursor => query.cursor = None,
            _ => {}
        }
        query.limit = self.limit(query.limit);
    }

    fn spoil_page(&self, page: &mut TaskPage) {
        let tasks = page.tasks.len() as u64;
        match self.fault {
            Fault::HasNoPreviousPage => page.previous = None,
            Fault::HasPreviousPageAtStart => {
                page.previous = page.previous.take().or(page.next.clone())
            }
            Fault::CountsNothing => page.count = None,
            Fault::CountsPage => page.count.iter_mut().for_each(|count| count.tasks = tasks),
            Fault::CountHasNoBound => page.count.iter_mut().for_each(|count| count.more = false),
            _ => {}
        }
    }

    fn limit(&self, limit: u32) -> u32 {
        match self.fault {
            Fault::IgnoresLimit => 500,
            _ => limit,
        }
    }

    fn next_cursor(&self, next: Option<String>) -> Option<String> {
        next.filter(|_| self.fault != Fault::HasNoNextPage)
    }

    /// Returns whether the cursor was refused and the fault is to ignore that.
    fn ignores_refusal<T>(&self, result: &Result<T, Error>) -> bool {
        self.fault == Fault::AcceptsAnyCursor && matches!(result, Err(Error::InvalidCursor(_)))
    }
}

#[async_trait]
impl Journal for Broken {
    async fn commit(&self, mut batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        batch.iter_mut().for_each(|entry| self.spoil(entry));
        let is_lost = self.fault == Fault::LosesLastOfBatch && batch.len() > 1;
        if is_lost {
            batch.pop();
        }
        if self.fault == Fault::ReversesBatch {
            batch.reverse();
        }
        let mut outcomes = self.journal.commit(batch).await?;
        match self.fault {
            Fault::ReversesBatch => outcomes.reverse(),
            Fault::DuplicateIsRecorded => outcomes.fill(Appended::Recorded),
            _ if is_lost => outcomes.push(Appended::Recorded),
            _ => {}
        }
        Ok(outcomes)
    }

    async fn maintain(&self) -> bool {
        self.journal.maintain().await
    }

    async fn prune(&self, before_ms: u64) -> Result<Pruned, Error> {
        match self.fault {
            Fault::PrunesNothing => Ok(Pruned::default()),
            Fault::PrunesAll => self.journal.prune(u64::MAX).await,
            _ => self.journal.prune(before_ms).await,
        }
    }

    async fn describe(&self, mut details: Vec<Details>) -> Result<(), Error> {
        match self.fault {
            Fault::LosesDetails => details.clear(),
            Fault::LosesFailedDevices => {
                for details in &mut details {
                    details.failed_devices.get_or_insert_default();
                }
            }
            Fault::KeepsLastDetails => {
                for details in &mut details {
                    details.at_ms = self.arrivals.fetch_add(1, Relaxed) + NOW_MS;
                }
            }
            _ => {}
        }
        self.journal.describe(details).await
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        let mut task = self.journal.find_task(app_id, task_id).await?;
        if self.fault == Fault::LosesSteps {
            let task = task.iter_mut();
            task.for_each(|task| task.steps = StepFlags::empty());
        }
        Ok(task)
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let mut query = query.clone();
        self.spoil_query(&mut query);
        let mut page = self.journal.list_tasks(&query).await;
        if self.ignores_refusal(&page) {
            query.cursor = None;
            page = self.journal.list_tasks(&query).await;
        }
        let mut page = page?;
        if let Some(text) = query
            .text
            .filter(|_| self.fault == Fault::TextIsCaseSensitive)
        {
            let has_id = |task: &Task| task.app_id.contains(&text) || task.task_id.contains(&text);
            page.tasks
                .retain(|task| has_id(task) || task.status_desc.contains(&text));
        }
        page.next = self.next_cursor(page.next);
        self.spoil_page(&mut page);
        Ok(page)
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let limit = self.limit(limit);
        let page = self.journal.list_history(app_id, task_id, cursor, limit);
        let mut page = page.await?;
        match self.fault {
            Fault::LosesPreviousStatus => page.previous_status = None,
            Fault::NeverLate => page.events.iter_mut().for_each(|event| event.late = false),
            _ => {}
        }
        page.next = self.next_cursor(page.next);
        Ok(page)
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        let repeated = u64::from(self.fault == Fault::RepeatsInFeed);
        let after = after.saturating_sub(repeated);
        let events = self.journal.events_after(after, self.limit(limit)).await;
        let mut events = events?;
        if self.fault == Fault::SkipsInFeed {
            events.retain(|event| !event.seq.is_multiple_of(5));
        }
        Ok(events)
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let limit = self.limit(limit);
        let mut page = self.journal.list_quarantine(cursor, limit).await?;
        match self.fault {
            Fault::OldestRejectsFirst => page.rejects.reverse(),
            Fault::ForgetsDropped => page.dropped = 0,
            _ => {}
        }
        page.next = self.next_cursor(page.next);
        Ok(page)
    }

    async fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        match self.fault {
            Fault::FindsNoReject => Ok(None),
            _ => self.journal.find_reject(seq).await,
        }
    }

    async fn drop_reject(&self, seq: u64) -> Result<bool, Error> {
        match self.fault {
            Fault::DropsNoReject => Ok(self.journal.find_reject(seq).await?.is_some()),
            _ => self.journal.drop_reject(seq).await,
        }
    }

    async fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        let mut spans = self.journal.list_activity(query).await?;
        match self.fault {
            Fault::LosesActivity => spans.clear(),
            Fault::ShiftsActivity => spans.iter_mut().for_each(|span| span.start_ms += 60_000),
            _ => {}
        }
        Ok(spans)
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        let mut summary = self.journal.summarize(stale_before_ms).await?;
        match self.fault {
            Fault::NothingIsStale => summary.stale = Some(0),
            Fault::QueryIsArrival => {
                summary.last_received_at_ms = Some(self.arrivals.load(Relaxed));
            }
            Fault::LosesLastArrival => summary.last_received_at_ms = None,
            Fault::MergesStatuses => {
                let counts = summary.statuses.iter_mut();
                counts.for_each(|count| count.status.clear());
            }
            _ => {}
        }
        Ok(summary)
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        match self.fault {
            Fault::LosesLastSeq => self.zero_seq.subscribe(),
            _ => self.journal.last_seq(),
        }
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self)
    }

    fn measures(&self) -> Vec<Measure> {
        match self.fault {
            Fault::MeasuresNothing => Vec::new(),
            _ => self.journal.measures(),
        }
    }

    async fn close(&self) {
        if self.fault != Fault::NeverCloses {
            self.journal.close().await;
        }
    }
}

impl Broken {
    /// The outbox of the journal. The journals that are broken have one.
    fn whole_outbox(&self) -> Result<&dyn Outbox, Error> {
        let missing = || Error::Unsupported("there is no outbox".into());
        self.journal.outbox().ok_or_else(missing)
    }
}

#[async_trait]
impl Outbox for Broken {
    async fn acquire(
        &self,
        sink: &str,
        owner: &str,
        lease: Duration,
        position: u64,
    ) -> Result<Acquired, Error> {
        let outbox = self.whole_outbox()?;
        let acquired = outbox.acquire(sink, owner, lease, position).await?;
        if let Acquired::Owned(fence) = acquired {
            self.fence.store(fence, Relaxed);
        }
        Ok(acquired)
    }

    async fn renew(&self, sink: &str, fence: u64, lease: Duration) -> Result<Hold, Error> {
        self.whole_outbox()?.renew(sink, fence, lease).await
    }

    async fn release(&self, sink: &str, fence: u64) -> Result<Hold, Error> {
        self.whole_outbox()?.release(sink, fence).await
    }

    async fn load(&self, sink: &str) -> Result<Option<SinkState>, Error> {
        self.whole_outbox()?.load(sink).await
    }

    async fn save(&self, sink: &str, fence: u64, change: &SinkChange) -> Result<Hold, Error> {
        let mut change = change.clone();
        let mut fence = fence;
        match self.fault {
            Fault::IgnoresFence => fence = self.fence.load(Relaxed),
            Fault::LosesDeadLetters => change.dead.clear(),
            Fault::LosesMemo => change.memo = None,
            Fault::ForgetsMemo => change.memo = Some(change.memo.unwrap_or_default()),
            _ => {}
        }
        self.whole_outbox()?.save(sink, fence, &change).await
    }
}
