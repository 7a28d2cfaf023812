//! [`Session`]: a sink while this host owns it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use batchtask_journal::outbox::{Hold, SinkState};
use batchtask_journal::page::event_bytes;
use batchtask_journal::{Error, StoredEvent};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::feed::{Feed, READ_EVENTS};
use super::replay::replay;
use super::tenure::Tenure;
use super::work::{Message, Worker};
use super::{LEASE, Runner, outbox};
use crate::circuit::CircuitState;
use crate::command::{Asked, Command, Replay, Reply};
use crate::error::CommandError;
use crate::lease::Lease;
use crate::scheduler::{LastError, Offered, Outcome, Scheduler};
use crate::sink::EventOptions;
use crate::status::Ownership;

/// How many bytes of events are kept until they are sent. Beyond this, all are dropped, and
/// read again one by one.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// How often progress is stored, if there is any, and counts are published. Each time is
/// a commit, and after a crash the events of about two such times are sent again.
pub(super) const TICK_MS: u64 = 250;
/// How many replays may be in progress.
const REPLAYS_MAX: usize = 4;
/// How long events in progress may take after a stop.
pub(super) const STOP_TIME: Duration = Duration::from_secs(1);

/// Why a session ended.
pub(super) enum End {
    /// The sink is stopped.
    Stopped,
    /// Another host owns the sink.
    Lost,
    /// Something failed.
    Failed(String),
}

pub(super) struct Session<'a> {
    runner: &'a mut Runner,
    scheduler: Scheduler,
    tenure: Tenure,
    feed: Feed,
    worker: Worker,
    work: JoinSet<Message>,
    /// Events that were read and not sent yet.
    kept: HashMap<u64, Arc<StoredEvent>>,
    kept_bytes: usize,
    is_saving: bool,
    tick_at_ms: u64,
    /// Replays in progress.
    replays: JoinSet<()>,
}

impl<'a> Session<'a> {
    pub(super) async fn open(
        runner: &'a mut Runner,
        options: &EventOptions,
        lease: Lease,
        fence: u64,
    ) -> Result<Self, Error> {
        let outbox = outbox(&runner.journal)?;
        let state = outbox.load(runner.sink.name()).await?;
        let scheduler = Scheduler::new(
            options.policy(),
            state.unwrap_or_else(SinkState::default),
            fastrand::Rng::new(),
        );
        runner.board.set_ownership(Ownership::Owned);
        Ok(Self {
            scheduler,
            tenure: Tenure::new(lease, fence),
            feed: Feed::new(runner.journal.journal().last_seq()),
            worker: Worker {
                sink: runner.sink.clone(),
                journal: runner.journal.clone(),
                fence,
                tracer: runner.tracer.clone(),
            },
            work: JoinSet::new(),
            kept: HashMap::new(),
            kept_bytes: 0,
            is_saving: false,
            tick_at_ms: 0,
            replays: JoinSet::new(),
            runner,
        })
    }

    /// Runs until the sink is stopped or lost.
    pub(super) async fn run(mut self) -> End {
        let end = self.run_until_end().await;
        if matches!(end, End::Stopped) {
            self.finish().await;
        }
        end
    }

    async fn run_until_end(&mut self) -> End {
        let stop = self.runner.stop.clone();
        loop {
            let now_ms = self.now_ms();
            if self.tenure.is_over(now_ms) {
                return End::Lost;
            }
            self.begin_work(now_ms);
            let wake_at_ms = self.wake_at(now_ms);
            let wake_at = self.runner.clock.instant(wake_at_ms);
            let waits_for_news = self.feed.waits_for_news(self.wants_more());
            let mut done = tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                Some(done) = self.work.join_next() => Some(done),
                Some(asked) = self.runner.commands.recv() => {
                    self.obey(asked);
                    None
                }
                news = self.feed.news(), if waits_for_news => {
                    if news.is_err() {
                        return End::Failed("the journal is closed".into());
                    }
                    None
                }
                () = tokio::time::sleep_until(wake_at.into()) => None,
            };
            while let Some(message) = done {
                let taken = match message {
                    Ok(message) => self.take(message),
                    Err(error) => Err(End::Failed(error.to_string())),
                };
                if let Err(end) = taken {
                    return end;
                }
                done = self.work.try_join_next();
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.runner.clock.now_ms()
    }

    /// Starts all work that is due.
    fn begin_work(&mut self, now_ms: u64) {
        while let Some(delivery) = self.scheduler.next(now_ms) {
            let event = self.take_kept(delivery.seq);
            let worker = self.worker.clone();
            self.work.spawn(worker.attempt(delivery.seq, event));
        }
        if let Some(after) = self.feed.begin(self.scheduler.wants_after(), now_ms) {
            self.work
                .spawn(self.worker.clone().read(after, READ_EVENTS));
        }
        if self.tenure.renews(now_ms) {
            self.work.spawn(self.worker.clone().renew(now_ms, LEASE));
        }
        if now_ms >= self.tick_at_ms {
            self.tick_at_ms = now_ms + TICK_MS;
            self.publish(now_ms);
            self.save();
        }
    }

    fn wants_more(&self) -> bool {
        self.scheduler.wants_after().is_some()
    }

    /// Returns when something is due although nothing else happens.
    fn wake_at(&mut self, now_ms: u64) -> u64 {
        let due_ms = self.scheduler.wake_at().unwrap_or(u64::MAX);
        let feed_ms = self.feed.wake_at(self.wants_more());
        let tenure_ms = self.tenure.wake_at(now_ms);
        self.tick_at_ms.min(due_ms).min(feed_ms).min(tenure_ms)
    }

    fn save(&mut self) {
        if !self.is_saving
            && let Some(change) = self.scheduler.change()
        {
            self.is_saving = true;
            let read_to = self.scheduler.counts().read_to;
            self.work.spawn(self.worker.clone().save(change, read_to));
        }
    }

    fn publish(&self, now_ms: u64) {
        let counts = self.scheduler.counts();
        let last_seq = self.feed.last_seq();
        let lag_ms = counts
            .oldest_ms
            .map(|oldest_ms| now_ms.saturating_sub(oldest_ms));
        self.runner.board.set(counts, last_seq, lag_ms.unwrap_or(0));
    }

    /// Takes the result of a piece of work.
    fn take(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Read(read) => self.take_read(read),
            Message::Tried(seq, outcome) => self.take_tried(seq, outcome),
            Message::Saved(change, read_to, saved) => {
                self.is_saving = false;
                match saved {
                    Ok(Hold::Kept) => {
                        self.scheduler.saved(&change, read_to);
                        self.runner.saved(None);
                    }
                    Ok(Hold::Lost) => return Err(End::Lost),
                    Err(error) => self.runner.saved(Some(error)),
                }
            }
            Message::Renewed(sent_ms, renewed) => {
                let now_ms = self.now_ms();
                return self.tenure.renewed(sent_ms, renewed, now_ms);
            }
        }
        Ok(())
    }

    fn take_read(&mut self, read: Result<Vec<StoredEvent>, Error>) {
        let now_ms = self.now_ms();
        for event in self.feed.take(read, now_ms) {
            if self.runner.sink.options().filter.admits(&event.event) {
                self.offer(event, now_ms);
            } else {
                self.scheduler.skip(event.seq);
            }
        }
    }

    fn offer(&mut self, stored: StoredEvent, now_ms: u64) {
        let event = Offered {
            seq: stored.seq,
            app_id: &stored.event.app_id,
            task_id: &stored.event.task_id,
            received_at_ms: stored.event.received_at_ms,
        };
        self.scheduler.offer(event, now_ms);
        if self.kept_bytes >= KEPT_BYTES_MAX {
            // Most of it waits behind events that failed.
            self.kept.clear();
            self.kept_bytes = 0;
        }
        self.kept_bytes += event_bytes(&stored.event);
        self.kept.insert(stored.seq, Arc::new(stored));
    }

    fn take_kept(&mut self, seq: u64) -> Option<Arc<StoredEvent>> {
        let event = self.kept.remove(&seq)?;
        self.kept_bytes -= event_bytes(&event.event);
        Some(event)
    }

    fn take_tried(&mut self, seq: u64, outcome: Outcome) {
        self.runner.board.count(&outcome);
        let was_refused = matches!(outcome, Outcome::Refused(_));
        let name = self.runner.sink.name();
        if let Some(error) = outcome.error() {
            tracing::debug!("the sink `{name}` did not take event {seq}: {error}");
        }
        let before = self.scheduler.circuit();
        let is_retried = self.scheduler.finish(seq, outcome, self.now_ms());
        let last_error = self.scheduler.counts().last_error;
        report_circuit(name, before, self.scheduler.circuit(), last_error);
        if was_refused && !is_retried {
            tracing::warn!("the sink `{name}` gave up event {seq}: it is a dead letter now");
            self.runner.board.count_dead();
        }
    }

    fn obey(&mut self, asked: Asked) {
        let now_ms = self.now_ms();
        let reply = match asked.command {
            Command::Pause => {
                self.scheduler.pause();
                Ok(Reply::Done)
            }
            Command::Resume => {
                self.scheduler.resume();
                Ok(Reply::Done)
            }
            Command::Test => return self.runner.test(asked.reply),
            Command::Replay(selection) => Ok(self.replay(selection)),
            Command::ListDead => Ok(Reply::Dead(
                self.scheduler.dead_letters().cloned().collect(),
            )),
            Command::RetryDead(seq) => {
                self.each_dead(seq, |scheduler, seq| scheduler.retry_dead(seq, now_ms))
            }
            Command::DropDead(seq) => self.each_dead(seq, Scheduler::drop_dead),
        };
        // Operators look at the state after a command.
        self.publish(now_ms);
        self.save();
        let _ = asked.reply.send(reply);
    }

    /// Starts a replay. It ends with the session.
    fn replay(&mut self, mut selection: Replay) -> Reply {
        while self.replays.try_join_next().is_some() {}
        if self.replays.len() >= REPLAYS_MAX {
            return Reply::Failed("too many replays are in progress: wait for one to end".into());
        }
        // Not those that arrive meanwhile.
        selection.to = selection.to.min(self.feed.last_seq());
        let (worker, board) = (self.worker.clone(), self.runner.board.clone());
        self.replays
            .spawn(async move { replay(worker, &board, selection).await });
        Reply::Done
    }

    /// Does something with a dead letter, or with all of them.
    fn each_dead(
        &mut self,
        seq: Option<u64>,
        act: impl Fn(&mut Scheduler, u64) -> bool,
    ) -> Result<Reply, CommandError> {
        let seqs: Vec<u64> = match seq {
            Some(seq) => vec![seq],
            None => self
                .scheduler
                .dead_letters()
                .map(|letter| letter.seq)
                .collect(),
        };
        let changed = seqs
            .into_iter()
            .filter(|seq| act(&mut self.scheduler, *seq));
        match (changed.count(), seq) {
            (0, Some(seq)) => Err(CommandError::UnknownDeadLetter(seq)),
            (changed, _) => Ok(Reply::Changed(changed)),
        }
    }

    /// Waits for the events in progress, stores the progress, and releases the sink.
    async fn finish(&mut self) {
        let ending = timeout(STOP_TIME, async {
            while let Some(Ok(message)) = self.work.join_next().await {
                if self.take(message).is_err() {
                    break;
                }
            }
        });
        let _ = ending.await;
        self.work.abort_all();
        let change = self.scheduler.final_change();
        self.worker.leave(change.as_ref()).await;
    }
}

/// Logs that a sink stopped working, or that it works again.
pub(super) fn report_circuit(
    name: &str,
    before: CircuitState,
    after: CircuitState,
    last_error: Option<LastError>,
) {
    match (before, after) {
        (CircuitState::Closed, CircuitState::Open) => {
            let error = last_error.map_or_else(String::new, |error| error.text);
            tracing::error!("the sink `{name}` does not work, its events wait: {error}");
        }
        (CircuitState::Open | CircuitState::HalfOpen, CircuitState::Closed) => {
            tracing::info!("the sink `{name}` works again");
        }
        _ => {}
    }
}
