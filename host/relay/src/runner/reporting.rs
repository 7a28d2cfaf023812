//! [`Reporting`]: a sink of reports, while this host owns it.

use std::sync::Arc;

use batchtask_journal::Error;
use batchtask_journal::outbox::{Hold, SinkChange, SinkState};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::feed::{Feed, READ_EVENTS};
use super::session::{End, STOP_TIME, TICK_MS, report_circuit};
use super::tenure::Tenure;
use super::work::{Message, Worker};
use super::{LEASE, Runner, outbox};
use crate::command::{Asked, Command, Reply};
use crate::error::CommandError;
use crate::lease::Lease;
use crate::report::{Observed, Reporter, Sending};
use crate::scheduler::Outcome;
use crate::sink::{Passing, ReportOptions};
use crate::status::Ownership;

/// A session of a sink that gets digests or alerts.
pub(super) struct Reporting<'a> {
    runner: &'a mut Runner,
    reporter: Reporter,
    tenure: Tenure,
    feed: Feed,
    observed: watch::Receiver<Arc<Observed>>,
    worker: Worker,
    work: JoinSet<Message>,
    is_saving: bool,
    tick_at_ms: u64,
}

impl<'a> Reporting<'a> {
    pub(super) async fn open(
        runner: &'a mut Runner,
        options: &ReportOptions,
        lease: Lease,
        fence: u64,
    ) -> Result<Self, Error> {
        let outbox = outbox(&runner.journal)?;
        let state = outbox.load(runner.sink.name()).await?;
        let state = state.unwrap_or_else(SinkState::default);
        let sending = match &runner.sink.options().passing {
            Passing::Alerts(_, conditions) => Sending::Alerts(runner.sink.name(), conditions),
            Passing::Digests(_) | Passing::Events(_) => Sending::Digests,
        };
        runner.board.set_ownership(Ownership::Owned);
        let mut observed = runner.observed.clone();
        observed.mark_changed();
        Ok(Self {
            reporter: Reporter::new(sending, options.every, &state, fastrand::Rng::new()),
            tenure: Tenure::new(lease, fence),
            feed: Feed::new(runner.journal.journal().last_seq()),
            observed,
            worker: Worker {
                sink: runner.sink.clone(),
                journal: runner.journal.clone(),
                fence,
                tracer: runner.tracer.clone(),
            },
            work: JoinSet::new(),
            is_saving: false,
            tick_at_ms: 0,
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
            let now_ms = self.runner.clock.now_ms();
            if self.tenure.is_over(now_ms) {
                return End::Lost;
            }
            self.begin_work(now_ms);
            let wake_at_ms = self.wake_at(now_ms);
            let wake_at = self.runner.clock.instant(wake_at_ms);
            let waits_for_news = self.feed.waits_for_news(true);
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                Some(done) = self.work.join_next() => {
                    let taken = match done {
                        Ok(message) => self.take(message),
                        Err(error) => Err(End::Failed(error.to_string())),
                    };
                    if let Err(end) = taken {
                        return end;
                    }
                }
                Some(asked) = self.runner.commands.recv() => self.obey(asked),
                news = self.feed.news(), if waits_for_news => {
                    if news.is_err() {
                        return End::Failed("the journal is closed".into());
                    }
                }
                // This does not fail before the relay ends, which stops this session.
                Ok(()) = self.observed.changed() => {
                    let observed = self.observed.borrow_and_update().clone();
                    self.reporter.observe(&observed, now_ms);
                }
                () = tokio::time::sleep_until(wake_at.into()) => {}
            }
        }
    }

    /// Starts all work that is due.
    fn begin_work(&mut self, now_ms: u64) {
        if let Some(after) = self.feed.begin(Some(self.reporter.read_to()), now_ms) {
            self.work
                .spawn(self.worker.clone().read(after, READ_EVENTS));
        }
        if let Some(report) = self.reporter.next(now_ms) {
            self.work.spawn(self.worker.clone().report(report));
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

    /// Returns when something is due although nothing else happens.
    fn wake_at(&mut self, now_ms: u64) -> u64 {
        let due_ms = self.reporter.wake_at().unwrap_or(u64::MAX);
        let feed_ms = self.feed.wake_at(true);
        let tenure_ms = self.tenure.wake_at(now_ms);
        self.tick_at_ms.min(due_ms).min(feed_ms).min(tenure_ms)
    }

    fn publish(&self, now_ms: u64) {
        let counts = self.reporter.counts();
        let oldest_ms = counts.oldest_ms.unwrap_or(now_ms);
        let lag_ms = now_ms.saturating_sub(oldest_ms);
        self.runner.board.set(counts, self.feed.last_seq(), lag_ms);
    }

    fn save(&mut self) {
        if !self.is_saving
            && let Some(change) = self.reporter.change()
        {
            self.is_saving = true;
            self.work.spawn(self.worker.clone().save(change, 0));
        }
    }

    /// Takes the result of a piece of work.
    fn take(&mut self, message: Message) -> Result<(), End> {
        let now_ms = self.runner.clock.now_ms();
        match message {
            Message::Read(read) => {
                for stored in self.feed.take(read, now_ms) {
                    let is_admitted = self.runner.sink.options().filter.admits(&stored.event);
                    self.reporter.take(&stored, is_admitted, now_ms);
                }
            }
            Message::Tried(_, outcome) => {
                self.take_tried(&outcome, now_ms);
                // Soon, because after a crash it would be sent again.
                self.save();
            }
            Message::Saved(change, _, saved) => return self.take_saved(&change, saved),
            Message::Renewed(sent_ms, renewed) => {
                return self.tenure.renewed(sent_ms, renewed, now_ms);
            }
        }
        Ok(())
    }

    fn take_tried(&mut self, outcome: &Outcome, now_ms: u64) {
        self.runner.board.count(outcome);
        let before = self.reporter.circuit();
        self.reporter.finish(outcome, now_ms);
        let name = self.runner.sink.name();
        if let Some(error) = outcome.error() {
            tracing::warn!("a message to the sink `{name}` failed; it is repeated: {error}");
        }
        let last_error = self.reporter.counts().last_error;
        report_circuit(name, before, self.reporter.circuit(), last_error);
    }

    fn take_saved(&mut self, change: &SinkChange, saved: Result<Hold, Error>) -> Result<(), End> {
        self.is_saving = false;
        match saved {
            Ok(Hold::Kept) => {
                self.reporter.saved(change);
                self.runner.saved(None);
            }
            Ok(Hold::Lost) => return Err(End::Lost),
            Err(error) => self.runner.saved(Some(error)),
        }
        Ok(())
    }

    fn obey(&mut self, asked: Asked) {
        let now_ms = self.runner.clock.now_ms();
        let reply = match asked.command {
            Command::Pause => {
                self.reporter.pause();
                Ok(Reply::Done)
            }
            Command::Resume => {
                self.reporter.resume();
                Ok(Reply::Done)
            }
            Command::Test => return self.runner.test(asked.reply),
            Command::Replay(_) => Err(CommandError::NoEvents),
            Command::ListDead => Ok(Reply::Dead(Vec::new())),
            Command::RetryDead(None) | Command::DropDead(None) => Ok(Reply::Changed(0)),
            Command::RetryDead(Some(seq)) | Command::DropDead(Some(seq)) => {
                Err(CommandError::UnknownDeadLetter(seq))
            }
        };
        // Operators look at the state after a command.
        self.publish(now_ms);
        self.save();
        let _ = asked.reply.send(reply);
    }

    /// Waits for the message in progress, stores the progress, and releases the sink.
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
        let change = self.reporter.change();
        self.worker.leave(change.as_ref()).await;
    }
}
