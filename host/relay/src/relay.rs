//! [`Relay`]: all sinks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batchtask_journal::GroupCommit;
use batchtask_span::Tracer;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::command::{Asked, Command, Reply};
use crate::error::CommandError;
use crate::report::{Condition, Observed};
use crate::runner::Runner;
use crate::sink::{Passing, Sink};
use crate::status::{Board, SinkStatus};

/// How many commands of operators may wait for a sink.
const COMMANDS_MAX: usize = 16;

/// How often to look whether a sink ended unexpectedly.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Passes the events of a journal on to sinks.
pub struct Relay {
    journal: Arc<GroupCommit>,
    clock: Clock,
    owner: String,
    /// What the host knows of the conditions that alerts report.
    observed: watch::Sender<Arc<Observed>>,
    /// The sinks that should run.
    wanted: watch::Sender<Vec<Arc<Sink>>>,
    /// How to reach the sinks that run.
    reach: Mutex<BTreeMap<String, Reach>>,
    tracer: Tracer,
}

/// How to reach a sink that runs.
#[derive(Clone)]
struct Reach {
    board: Arc<Board>,
    commands: mpsc::Sender<Asked>,
}

/// A sink that runs.
struct Running {
    sink: Arc<Sink>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    /// Returns a relay that does not run yet. `host` names this host for operators.
    pub fn new(journal: Arc<GroupCommit>, host: &str, sinks: Vec<Arc<Sink>>) -> Self {
        let random = fastrand::u64(..);
        Self {
            journal,
            clock: Clock::start(),
            owner: format!("{host}-{random:016x}"),
            observed: watch::Sender::default(),
            wanted: watch::Sender::new(sinks),
            reach: Mutex::default(),
            tracer: Tracer::default(),
        }
    }

    /// Adds deliveries to the traces of the requests that brought their events.
    pub fn traced_by(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// Replaces the sinks. A sink whose options did not change keeps running.
    pub fn configure(&self, sinks: Vec<Arc<Sink>>) {
        self.wanted.send_replace(sinks);
    }

    /// Returns the conditions that a sink reports. [`observe`](Self::observe) is needed only
    /// for these.
    pub fn conditions(&self) -> BTreeSet<Condition> {
        let sinks = self.wanted.borrow();
        let lists = sinks
            .iter()
            .filter_map(|sink| match &sink.options().passing {
                Passing::Alerts(_, conditions) => Some(conditions),
                Passing::Events(_) | Passing::Digests(_) => None,
            });
        lists.flatten().copied().collect()
    }

    /// Tells the sinks what the host knows of the conditions.
    pub fn observe(&self, observed: Observed) {
        self.observed.send_replace(Arc::new(observed));
    }

    /// Runs the sinks until `stop` is cancelled. Then waits until events in progress have
    /// a result, and until the progress is stored.
    pub async fn run(&self, stop: CancellationToken) {
        let mut wanted = self.wanted.subscribe();
        let mut running = BTreeMap::new();
        while !stop.is_cancelled() {
            let sinks = wanted.borrow_and_update().clone();
            self.reconcile(&mut running, sinks).await;
            tokio::select! {
                () = stop.cancelled() => {}
                // This cannot fail, because `self` has the sender.
                _ = wanted.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        self.reconcile(&mut running, Vec::new()).await;
    }

    /// Stops sinks that are not wanted or have changed, and starts those that are
    /// missing.
    async fn reconcile(&self, running: &mut BTreeMap<String, Running>, sinks: Vec<Arc<Sink>>) {
        let is_wanted = |running: &Running| {
            let options = running.sink.options();
            if running.task.is_finished() {
                tracing::error!("the sink `{}` panicked; it starts again", options.name);
                return false;
            }
            sinks.iter().any(|sink| sink.options() == options)
        };
        let ended: Vec<Running> = running
            .extract_if(.., |_, running| !is_wanted(running))
            .map(|(_, running)| running)
            .collect();
        for ended in &ended {
            ended.stop.cancel();
        }
        for ended in ended {
            self.reach().remove(ended.sink.name());
            // A panic was reported already.
            let _ = ended.task.await;
        }
        for sink in sinks {
            if !running.contains_key(sink.name()) {
                running.insert(sink.name().to_owned(), self.start(sink));
            }
        }
    }

    fn start(&self, sink: Arc<Sink>) -> Running {
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let board = Arc::new(Board::new(sink.name()));
        let stop = CancellationToken::new();
        let runner = Runner {
            sink: sink.clone(),
            journal: self.journal.clone(),
            board: board.clone(),
            owner: self.owner.clone(),
            clock: self.clock,
            commands: asked,
            observed: self.observed.subscribe(),
            stop: stop.clone(),
            tracer: self.tracer.clone(),
            reports_unsaved: false,
        };
        let reach = Reach { board, commands };
        self.reach().insert(sink.name().to_owned(), reach);
        let task = tokio::spawn(runner.run());
        Running { sink, stop, task }
    }

    /// Returns the status of each sink, by name.
    pub fn statuses(&self) -> Vec<SinkStatus> {
        let reach = self.reach();
        reach.values().map(|reach| reach.board.status()).collect()
    }

    /// Has a sink carry out a command.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn command(&self, sink: &str, command: Command) -> Result<Reply, CommandError> {
        let reach = self.reach().get(sink).cloned();
        let reach = reach.ok_or_else(|| CommandError::UnknownSink(sink.to_owned()))?;
        let (reply, answer) = oneshot::channel();
        let stopped = || CommandError::NotRunning(": it is being stopped".into());
        let asked = Asked { command, reply };
        reach.commands.send(asked).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Locks the list. Nothing panics while it is locked.
    fn reach(&self) -> MutexGuard<'_, BTreeMap<String, Reach>> {
        self.reach.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
