//! Group commit in front of a journal in memory whose commits can be stopped.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use batchtask_journal::{
    Appended, Details, Entry, Error, Event, EventFlags, GroupCommit, HistoryPage, Journal, Measure,
    MemoryJournal, Observer, QuarantinePage, Reject, Source, StoredEvent, Summary, Task, TaskPage,
    TaskQuery, error_text, group_commit::Options,
};
use batchtask_span::{Context, Kind, Recorder, Span, Tracer, Value};
use tokio::sync::{Semaphore, watch};

/// A journal in memory. Each commit waits for a permit, so commits can be stopped.
struct Stoppable {
    journal: MemoryJournal,
    permits: Semaphore,
    /// How many commits have begun.
    begun: watch::Sender<usize>,
    /// The behaviour of the next commits.
    behaviour: Mutex<Behaviour>,
    maintained: AtomicUsize,
    closed: AtomicBool,
}

/// How the journal behaves.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Behaviour {
    Commit,
    Fail,
    Panic,
    /// Stores all entries, but returns too few outcomes.
    ForgetOutcomes,
    /// Commits, but has no feed.
    HideFeed,
}

impl Stoppable {
    /// Returns a journal whose commits run.
    fn running() -> Arc<Self> {
        Self::with_permits(Semaphore::MAX_PERMITS)
    }

    /// Returns a journal whose commits wait for [`release`](Self::release).
    fn stopped() -> Arc<Self> {
        Self::with_permits(0)
    }

    fn with_permits(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            journal: MemoryJournal::default(),
            permits: Semaphore::new(permits),
            begun: watch::Sender::new(0),
            behaviour: Mutex::new(Behaviour::Commit),
            maintained: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        })
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Lets all commits run.
    fn release(&self) {
        self.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Waits until this many commits have begun.
    async fn until_begun(&self, commits: usize) {
        let mut begun = self.begun.subscribe();
        begun.wait_for(|begun| *begun >= commits).await.unwrap();
    }

    async fn events(&self) -> usize {
        self.journal.events_after(0, 500).await.unwrap().len()
    }
}

#[async_trait]
impl Journal for Stoppable {
    async fn commit(&self, batch: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        self.begun.send_modify(|begun| *begun += 1);
        self.permits.acquire().await.unwrap().forget();
        let behaviour = *self.behaviour.lock().unwrap();
        match behaviour {
            Behaviour::Commit | Behaviour::HideFeed => self.journal.commit(batch).await,
            Behaviour::Fail => Err(Error::Full("on purpose".into())),
            Behaviour::Panic => panic!("on purpose"),
            Behaviour::ForgetOutcomes => {
                let mut outcomes = self.journal.commit(batch).await?;
                outcomes.pop();
                Ok(outcomes)
            }
        }
    }

    async fn maintain(&self) -> bool {
        self.maintained.fetch_add(1, Relaxed);
        false
    }

    async fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        Journal::find_task(&self.journal, app_id, task_id).await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        Journal::list_tasks(&self.journal, query).await
    }

    async fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        Journal::list_history(&self.journal, app_id, task_id, cursor, limit).await
    }

    async fn events_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        if *self.behaviour.lock().unwrap() == Behaviour::HideFeed {
            return Err(Error::Unsupported("no feed".into()));
        }
        self.journal.events_after(after, limit).await
    }

    async fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        Journal::list_quarantine(&self.journal, cursor, limit).await
    }

    async fn summarize(&self, stale_before_ms: u64) -> Result<Summary, Error> {
        Journal::summarize(&self.journal, stale_before_ms).await
    }

    fn last_seq(&self) -> watch::Receiver<u64> {
        self.journal.last_seq()
    }

    fn measures(&self) -> Vec<Measure> {
        self.journal.measures()
    }

    async fn close(&self) {
        self.closed.store(true, Relaxed);
    }
}

fn event(at: u64) -> Entry {
    let mut digest = vec![0; 32];
    digest[..8].copy_from_slice(&at.to_be_bytes());
    let event = Event {
        app_id: "app".into(),
        task_id: "task".into(),
        task_type: "softwareUpgrade".into(),
        status: "Processing".into(),
        status_desc: String::new(),
        event_time: None,
        event_time_ms: None,
        request_id: None,
        digest,
        occurred_at_ms: at,
        rank: 2,
        received_at_ms: at,
        source: Source::Push,
        signature: None,
        flags: EventFlags::empty(),
        body: Vec::new(),
    };
    Entry::Event(event, None)
}

fn reject(bytes: usize) -> Entry {
    let reject = Reject {
        received_at_ms: 1,
        reason: "not-json".into(),
        detail: String::new(),
        pointer: None,
        body: vec![0; bytes],
    };
    Entry::Reject(reject, None)
}

fn commits(journal: &Arc<Stoppable>, options: Options) -> Arc<GroupCommit> {
    Arc::new(GroupCommit::new(journal.clone(), options, None).unwrap())
}

/// Waits until this many entries are waiting for a commit.
async fn until_waiting(commits: &GroupCommit, entries: usize) {
    while commits.stats().waiting != entries {
        tokio::task::yield_now().await;
    }
}

/// Writes an entry in a separate task.
fn write(
    commits: &Arc<GroupCommit>,
    entry: Entry,
) -> tokio::task::JoinHandle<Result<Appended, Error>> {
    let commits = commits.clone();
    tokio::spawn(async move { commits.write(entry).await })
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Unavailable(_))), "{result:?}");
}

/// Records the size of every batch.
#[derive(Default)]
struct Batches(Mutex<Vec<usize>>);

impl Observer for Batches {
    fn committed(&self, entries: usize, _: Duration) {
        self.0.lock().unwrap().push(entries);
    }
}

#[tokio::test]
async fn all_that_wait_share_one_commit() {
    let journal = Stoppable::stopped();
    let batches = Arc::new(Batches::default());
    let commits = GroupCommit::new(journal.clone(), Options::default(), Some(batches.clone()));
    let commits = Arc::new(commits.unwrap());
    let first = write(&commits, event(0));
    journal.until_begun(1).await;
    let others: Vec<_> = (1..=100).map(|at| write(&commits, event(at))).collect();
    until_waiting(&commits, 100).await;
    journal.release();
    for written in others.into_iter().chain([first]) {
        assert_eq!(written.await.unwrap().unwrap(), Appended::Recorded);
    }
    assert_eq!(*batches.0.lock().unwrap(), [1, 100]);
    assert_eq!(journal.events().await, 101);
    commits.close();
    assert!(journal.maintained.load(Relaxed) >= 2);
}

#[tokio::test]
async fn an_idle_journal_is_maintained() {
    let journal = Stoppable::stopped();
    let _commits = GroupCommit::new(journal.clone(), Options::default(), None).unwrap();
    let maintained = async {
        while journal.maintained.load(Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let maintained = tokio::time::timeout(Duration::from_secs(60), maintained);
    maintained.await.unwrap();
}

#[tokio::test]
async fn outcomes_go_to_their_entries_and_are_counted() {
    let journal = Stoppable::stopped();
    let commits = commits(&journal, Options::default());
    let blocked = write(&commits, Entry::Probe);
    journal.until_begun(1).await;
    let first = write(&commits, event(1));
    until_waiting(&commits, 1).await;
    let rest = [event(1), event(2), Entry::Probe, reject(9), event(2)];
    let rest: Vec<_> = rest.map(|entry| write(&commits, entry)).into();
    until_waiting(&commits, 6).await;
    journal.release();
    assert_eq!(blocked.await.unwrap().unwrap(), Appended::Recorded);
    let mut outcomes = vec![first.await.unwrap().unwrap()];
    for written in rest {
        outcomes.push(written.await.unwrap().unwrap());
    }
    let mut expected = [Appended::Recorded; 6];
    (expected[1], expected[5]) = (Appended::Duplicate, Appended::Duplicate);
    assert_eq!(outcomes, expected);
    let stats = commits.stats();
    assert_eq!((stats.commits, stats.failed_commits), (2, 0));
    let counts = (stats.recorded, stats.duplicates, stats.replays);
    assert_eq!(counts, (3, 2, 0), "probes are not counted");
}

#[tokio::test]
async fn too_many_entries_are_refused_at_once() {
    let journal = Stoppable::stopped();
    let options = Options {
        queue_max_entries: 2,
        ..Options::default()
    };
    let commits = commits(&journal, options);
    let first = write(&commits, event(0));
    journal.until_begun(1).await;
    let waiting = [1, 2].map(|at| write(&commits, event(at)));
    until_waiting(&commits, 2).await;
    assert_unavailable(commits.write(event(3)).await);
    journal.release();
    for written in waiting.into_iter().chain([first]) {
        assert_eq!(written.await.unwrap().unwrap(), Appended::Recorded);
    }
    commits.write(event(3)).await.unwrap();
}

#[tokio::test]
async fn too_many_bytes_are_refused() {
    let journal = Stoppable::stopped();
    let options = Options {
        queue_max_bytes: 10_000,
        ..Options::default()
    };
    let commits = commits(&journal, options);
    let refused = commits.write(reject(10_000)).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    let first = write(&commits, event(0));
    journal.until_begun(1).await;
    let large = write(&commits, reject(8_000));
    until_waiting(&commits, 1).await;
    assert_unavailable(commits.write(reject(2_000)).await);
    journal.release();
    assert_eq!(first.await.unwrap().unwrap(), Appended::Recorded);
    assert_eq!(large.await.unwrap().unwrap(), Appended::Recorded);
}

#[tokio::test]
async fn a_failure_is_the_answer_of_its_whole_batch() {
    let journal = Stoppable::stopped();
    journal.behave(Behaviour::Fail);
    let commits = commits(&journal, Options::default());
    let written = [0, 1, 2].map(|at| write(&commits, event(at)));
    journal.until_begun(1).await;
    journal.release();
    for written in written {
        let failed = written.await.unwrap();
        assert!(matches!(failed, Err(Error::Full(_))), "{failed:?}");
    }
    let failed_commits = commits.stats().failed_commits;
    assert!((1..=2).contains(&failed_commits), "{failed_commits}");
    assert_eq!((commits.stats().commits, journal.events().await), (0, 0));
    // The failure is temporary.
    journal.behave(Behaviour::Commit);
    commits.write(event(0)).await.unwrap();
}

#[tokio::test]
async fn an_entry_without_an_outcome_is_not_acknowledged() {
    let journal = Stoppable::running();
    journal.behave(Behaviour::ForgetOutcomes);
    let commits = commits(&journal, Options::default());
    assert_unavailable(commits.write(event(0)).await);
    assert_eq!(commits.stats().failed_commits, 1);
    journal.behave(Behaviour::Commit);
    assert_eq!(commits.write(event(0)).await.unwrap(), Appended::Duplicate);
}

#[tokio::test]
async fn a_panic_answers_all_that_wait() {
    let journal = Stoppable::stopped();
    journal.behave(Behaviour::Panic);
    let commits = commits(&journal, Options::default());
    let first = write(&commits, event(0));
    journal.until_begun(1).await;
    let waiting = [1, 2].map(|at| write(&commits, event(at)));
    until_waiting(&commits, 2).await;
    let follower = commits.clone();
    let following = tokio::spawn(async move { follower.follow(0, 1, u32::MAX).await });
    journal.release();
    for written in waiting.into_iter().chain([first]) {
        assert_unavailable(written.await.unwrap());
    }
    assert!(following.await.unwrap().unwrap().is_empty());
    assert_unavailable(commits.write(event(3)).await);
    commits.close();
    assert!(journal.closed.load(Relaxed), "the journal is closed anyway");
}

#[tokio::test]
async fn a_caller_that_gave_up_loses_no_event() {
    let journal = Stoppable::stopped();
    let options = Options {
        write_timeout: Duration::from_millis(1),
        ..Options::default()
    };
    let commits = commits(&journal, options);
    assert_unavailable(commits.write(event(0)).await);
    journal.until_begun(1).await;
    let dropped = write(&commits, event(1));
    until_waiting(&commits, 1).await;
    dropped.abort();
    journal.release();
    let followed = commits.follow(1, 10, 60_000).await.unwrap();
    assert_eq!((followed.len(), journal.events().await), (1, 2));
}

#[tokio::test]
async fn closing_answers_what_waits_and_refuses_the_rest() {
    let journal = Stoppable::stopped();
    let commits = commits(&journal, Options::default());
    let first = write(&commits, event(0));
    journal.until_begun(1).await;
    let waiting = [1, 2].map(|at| write(&commits, event(at)));
    until_waiting(&commits, 2).await;
    journal.release();
    commits.close();
    assert_eq!(journal.events().await, 3);
    assert!(journal.closed.load(Relaxed));
    for written in waiting.into_iter().chain([first]) {
        assert_eq!(written.await.unwrap().unwrap(), Appended::Recorded);
    }
    assert_unavailable(commits.write(event(3)).await);
    assert_unavailable(commits.probe().await);
    commits.close();
}

#[tokio::test]
async fn dropping_closes() {
    let journal = Stoppable::running();
    let commits = commits(&journal, Options::default());
    commits.write(event(0)).await.unwrap();
    drop(commits);
    assert!(journal.closed.load(Relaxed));
}

/// The backend needs the runtime's timer, as a network client would.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn closing_within_the_only_worker_does_not_block_the_runtime() {
    let journal = Stoppable::stopped();
    let commits = commits(&journal, Options::default());
    let written = write(&commits, event(0));
    journal.until_begun(1).await;
    let releasing = journal.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        releasing.release();
    });
    // `close` is called on the only worker; timer and other tasks must continue.
    let closing = commits.clone();
    let closed = tokio::spawn(async move { closing.close() });
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, closed).await.unwrap().unwrap();
    assert_eq!(written.await.unwrap().unwrap(), Appended::Recorded);
}

#[test]
fn it_needs_a_runtime() {
    let journal = Stoppable::running();
    assert!(GroupCommit::new(journal, Options::default(), None).is_err());
}

#[tokio::test]
async fn the_number_of_waiting_followers_is_bounded() {
    let journal = Stoppable::running();
    let options = Options {
        followers_max: 2,
        ..Options::default()
    };
    let commits = commits(&journal, options);
    let mut first = Box::pin(commits.follow(0, 10, u32::MAX));
    let mut second = Box::pin(commits.follow(0, 10, u32::MAX));
    // `biased` polls them in this order.
    let third = tokio::select! {
        biased;
        events = &mut first => events,
        events = &mut second => events,
        events = commits.follow(0, 10, u32::MAX) => events,
    };
    assert!(third.unwrap().is_empty(), "the third does not wait");
    commits.write(event(0)).await.unwrap();
    assert_eq!(first.await.unwrap().len(), 1);
    assert_eq!(second.await.unwrap().len(), 1);
    // A follower that need not wait is not counted.
    assert_eq!(commits.follow(0, 10, 0).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_journal_without_a_feed_is_unsupported() {
    let journal = Stoppable::running();
    journal.behave(Behaviour::HideFeed);
    let commits = commits(&journal, Options::default());
    for wait_ms in [0, u32::MAX] {
        let followed = commits.follow(0, 10, wait_ms).await;
        assert!(matches!(followed, Err(Error::Unsupported(_))));
    }
}

#[tokio::test]
async fn an_entry_is_checked_before_it_waits() {
    let journal = Stoppable::stopped();
    let commits = commits(&journal, Options::default());
    let mut invalid = event(0);
    if let Entry::Event(event, _) = &mut invalid {
        event.app_id.clear();
    }
    let refused = commits.write(invalid).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    assert_eq!(*journal.begun.borrow(), 0);
    journal.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_are_checked_and_then_stored() {
    let journal = Arc::new(MemoryJournal::default());
    let commits = GroupCommit::new(journal.clone(), Options::default(), None).unwrap();
    commits.write(event(1)).await.unwrap();
    let details = Details {
        app_id: "app".into(),
        task_id: "task".into(),
        name: Some("name".into()),
        ..Details::default()
    };
    let bad = Details {
        task_id: String::new(),
        ..details.clone()
    };
    let refused = commits.describe(vec![details.clone(), bad]).await;
    let refused = refused.unwrap_err();
    assert!(error_text(refused).contains("`task_id` is empty"));
    let name = async || {
        let task = commits.journal().find_task("app", "task").await.unwrap();
        task.unwrap().name
    };
    assert_eq!(name().await, None, "all or nothing");
    commits.describe(vec![details.clone()]).await.unwrap();
    assert_eq!(name().await.as_deref(), Some("name"));
    commits.close();
    assert_unavailable(commits.describe(vec![details]).await);
}

/// Keeps the spans of all traces.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl Recorder for Spans {
    fn samples(&self, _: u128) -> bool {
        true
    }

    fn record(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

impl Spans {
    fn named(&self, name: &str) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        let named = spans.iter().filter(|span| span.name == name);
        named.cloned().collect()
    }
}

/// Writes an entry of a traced request in a separate task.
fn write_traced(
    commits: &Arc<GroupCommit>,
    tracer: &Tracer,
    entry: Entry,
) -> tokio::task::JoinHandle<Result<Appended, Error>> {
    let commits = commits.clone();
    let request = tracer.begin(None, Kind::Server, || "request".into());
    tokio::spawn(async move {
        let deadline = Instant::now() + Duration::from_secs(60);
        let written = commits.write_by(entry, deadline, request.as_ref()).await;
        written.expect("it is in time")
    })
}

#[tokio::test]
async fn a_commit_is_linked_to_the_requests_that_it_belongs_to() {
    let journal = Stoppable::stopped();
    let commits = commits(&journal, Options::default());
    let spans = Spans::default();
    let tracer = Tracer::new(spans.clone());
    let blocked = write(&commits, Entry::Probe);
    journal.until_begun(1).await;
    let written = [
        write(&commits, event(1)),
        write_traced(&commits, &tracer, event(2)),
        write_traced(&commits, &tracer, event(3)),
    ];
    until_waiting(&commits, 3).await;
    journal.release();
    for written in written.into_iter().chain([blocked]) {
        written.await.unwrap().unwrap();
    }
    let (appends, commits) = (spans.named("journal.append"), spans.named("journal.commit"));
    let [commit] = &commits[..] else {
        panic!("only one batch has traced requests: {commits:?}");
    };
    let ids = |spans: &[Span]| -> BTreeSet<u64> {
        spans.iter().map(|span| span.context.span_id()).collect()
    };
    assert_eq!(appends.len(), 2);
    let linked: BTreeSet<u64> = commit.links.iter().map(Context::span_id).collect();
    assert_eq!(linked, ids(&appends));
    assert!(linked.contains(&commit.parent.unwrap()));
    let size = ("batchtask.batch_size", Value::Whole(3));
    assert!(commit.attributes.contains(&size));
    for append in &appends {
        assert_eq!(append.links, std::slice::from_ref(&commit.context));
        assert!(append.attributes.contains(&size));
        let requests = spans.named("request");
        assert!(ids(&requests).contains(&append.parent.unwrap()));
        let queue = append.attributes.iter();
        let mut queue = queue.filter(|(name, _)| *name == "batchtask.queue_ms");
        let Some((_, Value::Number(queue_ms))) = queue.next() else {
            panic!("{append:?}");
        };
        assert!(Duration::from_secs_f64(queue_ms / 1e3) <= append.duration);
    }
    assert_eq!(commit.error, None);
}

#[tokio::test]
async fn a_failed_commit_is_an_error_in_its_traces() {
    let journal = Stoppable::running();
    let commits = commits(&journal, Options::default());
    let spans = Spans::default();
    let tracer = Tracer::new(spans.clone());
    journal.behave(Behaviour::Fail);
    let written = write_traced(&commits, &tracer, event(1)).await.unwrap();
    let error = Some(error_text(written.unwrap_err()));
    for name in ["journal.append", "journal.commit"] {
        let spans = spans.named(name);
        assert_eq!((spans.len(), &spans[0].error), (1, &error), "{name}");
    }
}
