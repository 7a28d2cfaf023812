//! Group commit: joins waiting entries into batches, in front of every backend.
//!
//! A batch contains all entries that wait at the moment. Group commit never
//! waits for a batch to fill; a slow disk results in larger batches. Events that
//! no one waits for are the exception: only some of them share a batch, so that
//! a backlog of the AMQP channel does not delay a push.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use batchtask_span::OpenSpan;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, oneshot, watch};

use crate::commit_span::{CommitSpan, append_span};
use crate::queue::{Priority, PushError, Queue};
use crate::stats::Counters;
use crate::{
    Appended, Details, Entry, Error, Journal, Observer, Source, Stats, StoredEvent, error_text,
};

/// The maximum number of entries in a batch. It bounds how long a batch takes.
pub(crate) const BATCH_MAX_ENTRIES: usize = 512;
/// The approximate maximum size of a batch in bytes.
const BATCH_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How often [`Journal::maintain`] is called while nothing is written.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// How often [`Journal::maintain`] is called while it reports more work.
const BUSY_TICK: Duration = Duration::from_millis(20);

/// The bounds of group commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// How many entries may wait for a commit.
    pub queue_max_entries: usize,
    /// How many bytes may wait for a commit.
    pub queue_max_bytes: usize,
    /// How long a write may take, including its wait in the queue. After that it
    /// fails with [`Error::Unavailable`], but may still become durable later.
    pub write_timeout: Duration,
    /// How many callers of [`GroupCommit::follow`] may wait for an event at the
    /// same time.
    pub followers_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_max_entries: 4096,
            queue_max_bytes: 64 * 1024 * 1024,
            write_timeout: Duration::from_secs(8),
            followers_max: 16,
        }
    }
}

/// A journal with group commit in front of it. Dropping it closes it, as
/// [`close`](Self::close) does.
pub struct GroupCommit {
    journal: Arc<dyn Journal>,
    queue: Arc<Queue<Job>>,
    options: Options,
    counters: Arc<Counters>,
    /// One permit for each caller that may wait for the next event.
    followers: Semaphore,
    /// Closed when the thread has ended, also after a panic.
    ended: watch::Receiver<()>,
    /// The thread that commits. `None` once it was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl GroupCommit {
    /// Starts the thread that commits. `observer` is called after every commit.
    /// Must be called within a tokio runtime, which has to outlive the result if
    /// the backend needs it for I/O.
    ///
    /// # Errors
    /// If there is no runtime, or the thread cannot be started.
    pub fn new(
        journal: Arc<dyn Journal>,
        options: Options,
        observer: Option<Arc<dyn Observer>>,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(
            options.queue_max_entries,
            options.queue_max_bytes,
        ));
        let counters = Arc::new(Counters::default());
        let (ended_sender, ended) = watch::channel(());
        let committer = Committer {
            journal: journal.clone(),
            queue: queue.clone(),
            counters: counters.clone(),
            observer,
            runtime: Handle::try_current().map_err(io::Error::other)?,
            _ended: ended_sender,
        };
        let thread = thread::Builder::new()
            .name("journal-commit".into())
            .spawn(|| committer.run())?;
        Ok(Self {
            journal,
            queue,
            options,
            counters,
            followers: Semaphore::new(options.followers_max),
            ended,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Makes an entry durable, then returns its outcome. If the caller stops
    /// waiting, the write still happens, because a notification is sent only
    /// once.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the entry is invalid or larger than the queue;
    /// [`Error::Unavailable`] if the queue is full, the time limit has passed, or
    /// the journal is closed; otherwise the error of the commit.
    pub async fn write(&self, entry: Entry) -> Result<Appended, Error> {
        let timeout = self.options.write_timeout;
        let written = self.write_by(entry, Instant::now() + timeout, None).await;
        written.unwrap_or_else(|| {
            let limit_ms = timeout.as_millis();
            Err(Error::Unavailable(format!(
                "a write to the journal took more than {limit_ms} ms"
            )))
        })
    }

    /// Like [`write`](Self::write), but with this deadline. Returns `None` when
    /// it has passed; the entry may still become durable later. `above` is the span of
    /// the request, if it is traced: one below it shows the wait in the queue and the commit.
    pub async fn write_by(
        &self,
        entry: Entry,
        deadline: Instant,
        above: Option<&OpenSpan>,
    ) -> Option<Result<Appended, Error>> {
        let answer = match self.push(entry, above) {
            Ok(answer) => answer,
            Err(error) => return Some(Err(error)),
        };
        let answer = tokio::time::timeout_at(deadline.into(), answer)
            .await
            .ok()?;
        Some(answer.unwrap_or_else(|_| {
            Err(Error::Unavailable(
                "the thread that writes the journal has ended: restart the receiver".into(),
            ))
        }))
    }

    /// Queues an entry. Returns the channel on which its outcome will arrive.
    fn push(
        &self,
        entry: Entry,
        above: Option<&OpenSpan>,
    ) -> Result<oneshot::Receiver<Result<Appended, Error>>, Error> {
        entry.check()?;
        let bytes = entry.bytes();
        let limit = self.options.queue_max_bytes;
        if bytes > limit {
            return Err(Error::Unsupported(format!(
                "the entry has {bytes} bytes; the journal accepts at most {limit}"
            )));
        }
        let priority = priority(&entry);
        let (sender, answer) = oneshot::channel();
        let reply = Reply {
            sender,
            span: above.and_then(append_span),
        };
        self.queue
            .push(Job { entry, reply }, bytes, priority)
            .map_err(push_error)?;
        Ok(answer)
    }

    /// Stores details with their tasks, beside the batches.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if details are invalid; otherwise the error of
    /// [`Journal::describe`].
    pub async fn describe(&self, details: Vec<Details>) -> Result<(), Error> {
        details.iter().try_for_each(Details::check)?;
        self.journal.describe(details).await
    }

    /// Commits an entry without content, in the same way as an event, to learn
    /// whether the journal can be written.
    ///
    /// # Errors
    /// The errors that [`write`](Self::write) would return for an event now.
    pub async fn probe(&self) -> Result<(), Error> {
        self.write(Entry::Probe).await.map(drop)
    }

    /// Returns the events with a `seq` above `after`, in that order, at most
    /// `limit` events or about 1 MiB. If there is no such event, waits up to
    /// `wait_ms` milliseconds for one. Returns an empty list if no event arrives,
    /// if too many callers wait already, or if the journal is being closed.
    ///
    /// # Errors
    /// The errors of [`Journal::events_after`]. If the journal has no feed,
    /// returns [`Error::Unsupported`] at once.
    pub async fn follow(
        &self,
        after: u64,
        limit: u32,
        wait_ms: u32,
    ) -> Result<Vec<StoredEvent>, Error> {
        let events = self.look(after, limit).await?;
        if !events.is_empty() {
            return Ok(events);
        }
        let deadline = Instant::now() + Duration::from_millis(wait_ms.into());
        let mut seen = after;
        while self.has_events_after(seen, deadline).await {
            seen = *self.journal.last_seq().borrow();
            let events = self.journal.events_after(after, limit).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            // All events up to `seen` were pruned.
        }
        Ok(Vec::new())
    }

    /// Whether the journal was closed, which ends the wait of followers.
    fn is_closed(&self) -> bool {
        self.journal.last_seq().has_changed().is_err()
    }

    /// Reads events if `last_seq` does not show whether there are any: another host may
    /// have stored some that this one has not heard of, or the journal has no feed.
    async fn look(&self, after: u64, limit: u32) -> Result<Vec<StoredEvent>, Error> {
        let last_seq = *self.journal.last_seq().borrow();
        let is_shared = self.journal.is_shared();
        if last_seq > 0 && !(is_shared && last_seq <= after) {
            return Ok(Vec::new());
        }
        match self.journal.events_after(after, limit).await {
            Err(error @ Error::Unsupported(_)) => Err(error),
            Err(error) if is_shared && !self.is_closed() => Err(error),
            // Other errors may have passed by the time there is an event to read.
            read => Ok(read.unwrap_or_default()),
        }
    }

    /// Waits until there is an event after `after`. Returns false if there is no
    /// such event by the deadline.
    async fn has_events_after(&self, after: u64, deadline: Instant) -> bool {
        // The channel holds a state, not a signal, so an event that commits before
        // the wait begins is not missed.
        let mut last_seq = self.journal.last_seq();
        if *last_seq.borrow_and_update() > after {
            return true;
        }
        let Ok(_permit) = self.followers.try_acquire() else {
            return false;
        };
        let mut ended = self.ended.clone();
        let arrives = async {
            tokio::select! {
                arrived = last_seq.wait_for(|last_seq| *last_seq > after) => arrived.is_ok(),
                _ = ended.changed() => false,
            }
        };
        tokio::time::timeout_at(deadline.into(), arrives)
            .await
            .unwrap_or(false)
    }

    /// Returns the journal behind group commit, to read from.
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// Returns the counts now.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.queue.len())
    }

    /// Returns why the last commit failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.counters.failure()
    }

    /// Refuses new entries, commits and answers the waiting ones, and closes the
    /// journal. Blocks until that is done. A second call does nothing.
    ///
    /// Within a multi-threaded runtime, other tasks continue meanwhile; do not
    /// call it within a `LocalSet`. Within a current-thread runtime it blocks all
    /// tasks, so if the backend needs that runtime for I/O, call it after the
    /// runtime has ended.
    pub fn close(&self) {
        self.queue.close();
        let join = || {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = thread.take() {
                // The thread catches panics itself.
                let _ = thread.join();
            }
        };
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(join),
            _ => join(),
        }
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.close();
    }
}

/// A push comes once and waits a few seconds. Events of other sources come again.
fn priority(entry: &Entry) -> Priority {
    match entry {
        Entry::Event(event, _) if event.source != Source::Push => Priority::Low,
        _ => Priority::High,
    }
}

fn push_error(error: PushError) -> Error {
    Error::Unavailable(match error {
        PushError::Full => "too many writes are waiting for the journal".into(),
        PushError::Closed => "the journal is closed".into(),
    })
}

/// An entry, and the caller that waits for its outcome.
struct Job {
    entry: Entry,
    reply: Reply,
}

/// How a caller is answered.
struct Reply {
    sender: oneshot::Sender<Result<Appended, Error>>,
    /// The span of the entry, from its arrival in the queue to its commit, if it is traced.
    span: Option<Box<OpenSpan>>,
}

/// The thread that commits.
struct Committer {
    journal: Arc<dyn Journal>,
    queue: Arc<Queue<Job>>,
    counters: Arc<Counters>,
    observer: Option<Arc<dyn Observer>>,
    runtime: Handle,
    /// Dropped when the thread ends, so that followers stop waiting.
    _ended: watch::Sender<()>,
}

impl Committer {
    /// Commits until the queue is closed and empty, then closes the journal.
    fn run(self) {
        let _: thread::Result<()> = catch_unwind(AssertUnwindSafe(|| self.commit_all()));
        // After a panic, entries may still be waiting. Dropping them answers
        // their callers with `Unavailable`.
        self.queue.abandon();
        self.runtime.block_on(self.journal.close());
    }

    fn commit_all(&self) {
        let mut tick = IDLE_TICK;
        while let Some(jobs) = self.queue.take(BATCH_MAX_ENTRIES, BATCH_MAX_BYTES, tick) {
            if !jobs.is_empty() {
                let (entries, mut replies): (Vec<_>, Vec<_>) =
                    jobs.into_iter().map(|job| (job.entry, job.reply)).unzip();
                let appends = replies.iter_mut();
                let appends = appends.filter_map(|reply| reply.span.as_deref_mut());
                let span = CommitSpan::begin(entries.len(), appends);
                let result = self.commit(entries);
                if let Some(span) = span {
                    let appends = replies.iter_mut();
                    span.end(appends.filter_map(|reply| reply.span.take()), &result);
                }
                answer(replies, result);
            }
            let has_more = self.runtime.block_on(self.journal.maintain());
            tick = if has_more { BUSY_TICK } else { IDLE_TICK };
        }
    }

    /// Commits `entries` as one batch, and counts the result.
    fn commit(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, Error> {
        let count = entries.len();
        let is_probe = |entry: &&Entry| matches!(entry, Entry::Probe);
        let probes = entries.iter().filter(is_probe).count() as u64;
        let started = Instant::now();
        let result = self
            .runtime
            .block_on(self.journal.commit(entries))
            .and_then(|outcomes| check_count(outcomes, count));
        match &result {
            Ok(outcomes) => {
                self.counters.committed(outcomes, probes);
                if let Some(observer) = &self.observer {
                    observer.committed(count, started.elapsed());
                }
                if self.counters.works() {
                    tracing::info!("the journal can be written again");
                }
            }
            Err(error) => {
                let text = error_text(error.clone());
                if self.counters.failed(&text) {
                    tracing::error!("notifications are answered 503: {text}");
                }
            }
        }
        result
    }
}

/// Returns an error if the backend did not return an outcome for each entry: an
/// entry without an outcome must not count as durable.
fn check_count(outcomes: Vec<Appended>, entries: usize) -> Result<Vec<Appended>, Error> {
    let found = outcomes.len();
    if found == entries {
        return Ok(outcomes);
    }
    Err(Error::Unavailable(format!(
        "the journal returned {found} outcomes for {entries} entries"
    )))
}

/// Answers every caller that still waits.
fn answer(replies: Vec<Reply>, result: Result<Vec<Appended>, Error>) {
    match result {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                let _ = reply.sender.send(Ok(outcome));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.sender.send(Err(error.clone()));
            }
        }
    }
}
