//! [`Runner`]: one sink, for as long as it is configured.
//!
//! - `session`: a sink of events while this host owns it; `reporting`: a sink of reports.
//! - `tenure`: the lease of a session; `feed`: when it reads the feed.
//! - `work`: what a session does in the background; `replay`: sends events again.

mod feed;
mod replay;
mod reporting;
mod session;
mod tenure;
mod work;

use std::sync::Arc;
use std::time::Duration;

use batchtask_journal::outbox::{Acquired, Outbox};
use batchtask_journal::{Error, GroupCommit, error_text};
use batchtask_span::Tracer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::reporting::Reporting;
use self::session::{End, Session};
use crate::backoff;
use crate::clock::Clock;
use crate::command::{Asked, Reply};
use crate::error::CommandError;
use crate::lease::{Lease, Step};
use crate::report::Observed;
use crate::sink::{Passing, Sink, Start};
use crate::status::{Board, Ownership};

/// How long a host owns a sink without a renewal.
const LEASE: Duration = Duration::from_secs(10);
/// The first pause after a session that failed. It doubles with each failure in a row.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Runs one sink.
pub(crate) struct Runner {
    pub(crate) sink: Arc<Sink>,
    pub(crate) journal: Arc<GroupCommit>,
    pub(crate) board: Arc<Board>,
    /// The name of this relay among all hosts.
    pub(crate) owner: String,
    pub(crate) clock: Clock,
    pub(crate) commands: mpsc::Receiver<Asked>,
    /// What the host knows of the conditions that alerts report.
    pub(crate) observed: watch::Receiver<Arc<Observed>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tracer: Tracer,
    /// Whether the log says that progress is not stored.
    pub(crate) reports_unsaved: bool,
}

impl Runner {
    /// Tells the log whether the progress was stored, once for each change of that.
    fn saved(&mut self, error: Option<Error>) {
        let name = self.sink.name();
        if let Some(error) = error {
            if !std::mem::replace(&mut self.reports_unsaved, true) {
                let text = error_text(error);
                tracing::warn!("the progress of the sink `{name}` is not stored: {text}");
            }
        } else if std::mem::take(&mut self.reports_unsaved) {
            tracing::info!("the progress of the sink `{name}` is stored again");
        }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let mut lease = Lease::new(LEASE);
            let Some(fence) = self.acquire(&mut lease).await else {
                break;
            };
            let started_ms = self.clock.now_ms();
            let end = self.session(lease, fence).await;
            self.board.set_ownership(Ownership::Starting);
            match end {
                End::Stopped => break,
                End::Lost => {
                    let name = self.sink.name();
                    tracing::warn!("this host does not own the sink `{name}` any more");
                    failures = 0;
                }
                End::Failed(error) => {
                    let name = self.sink.name();
                    tracing::error!("the sink `{name}` starts again: {error}");
                    if self.clock.now_ms() - started_ms > backoff::milliseconds(PAUSE_MAX) {
                        failures = 0;
                    }
                    self.pause(failures).await;
                    failures += 1;
                }
            }
        }
    }

    async fn session(&mut self, lease: Lease, fence: u64) -> End {
        let sink = self.sink.clone();
        let ended = match &sink.options().passing {
            Passing::Events(options) => match Session::open(self, options, lease, fence).await {
                Ok(session) => Ok(session.run().await),
                Err(error) => Err(error),
            },
            Passing::Digests(options) | Passing::Alerts(options, _) => {
                match Reporting::open(self, options, lease, fence).await {
                    Ok(session) => Ok(session.run().await),
                    Err(error) => Err(error),
                }
            }
        };
        ended.unwrap_or_else(|error| End::Failed(error_text(error)))
    }

    /// Sends a message that reports nothing.
    fn test(&self, reply: oneshot::Sender<Result<Reply, CommandError>>) {
        let sink = self.sink.clone();
        tokio::spawn(async move {
            let result = match sink.test().await.error() {
                None => Reply::Accepted,
                Some(error) => Reply::Failed(error.to_owned()),
            };
            let _ = reply.send(Ok(result));
        });
    }

    /// Waits until this host owns the sink. Returns its fencing number, or `None` when
    /// the sink is stopped.
    async fn acquire(&mut self, lease: &mut Lease) -> Option<u64> {
        let mut last_error = None;
        loop {
            let now_ms = self.clock.now_ms();
            match lease.step(now_ms) {
                Step::WaitUntil(at_ms) => self.wait_until(at_ms).await?,
                Step::Acquire | Step::Renew(_) => match self.ask().await {
                    Ok(Acquired::Owned(fence)) => {
                        lease.granted(fence, now_ms);
                        return Some(fence);
                    }
                    Ok(Acquired::HeldBy(owner)) => {
                        self.board.set_ownership(Ownership::HeldBy(owner));
                        lease.lost(self.clock.now_ms());
                    }
                    Err(error) => {
                        let text = error_text(error);
                        if last_error.as_ref() != Some(&text) {
                            let name = self.sink.name();
                            tracing::error!("the sink `{name}` cannot be acquired: {text}");
                            last_error = Some(text);
                        }
                        lease.lost(self.clock.now_ms());
                    }
                },
            }
        }
    }

    async fn ask(&self) -> Result<Acquired, Error> {
        let position = self.first_position();
        outbox(&self.journal)?
            .acquire(self.sink.name(), &self.owner, LEASE, position)
            .await
    }

    /// Returns the position of a new sink.
    fn first_position(&self) -> u64 {
        match self.sink.options().start {
            Start::Now => *self.journal.journal().last_seq().borrow(),
            Start::Beginning => 0,
            Start::Seq(seq) => seq.saturating_sub(1),
        }
    }

    /// Waits, and refuses commands meanwhile. Returns `None` when the sink is stopped.
    async fn wait_until(&mut self, at_ms: u64) -> Option<()> {
        let at = self.clock.instant(at_ms).into();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep_until(at) => return Some(()),
                Some(asked) = self.commands.recv() => {
                    let error = match self.board.status().ownership {
                        Ownership::HeldBy(owner) => CommandError::OtherOwner(owner),
                        _ => CommandError::NotRunning(": try again".into()),
                    };
                    let _ = asked.reply.send(Err(error));
                }
            }
        }
    }

    async fn pause(&mut self, failures: u32) {
        let pause = backoff::doubled(&mut fastrand::Rng::new(), PAUSE_MIN, failures, PAUSE_MAX);
        let until_ms = self.clock.now_ms() + pause;
        self.wait_until(until_ms).await;
    }
}

/// Returns the outbox of a journal.
fn outbox(journal: &GroupCommit) -> Result<&dyn Outbox, Error> {
    let missing = || Error::Unsupported("this journal does not store the progress of sinks".into());
    journal.journal().outbox().ok_or_else(missing)
}
