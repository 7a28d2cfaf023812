//! [`Scheduler`]: which event of a sink is sent next. Without input and output.
//!
//! - `tasks`: the undelivered events of each task, and when its first one is due.
//! - `progress`: what is stored of a sink.
//!
//! At most one event of a task is in progress, and it is the task's first one that is not
//! delivered. An event that failed is tried again later; the later events of its task
//! wait behind it, and all other tasks go on.

mod progress;
mod tasks;

use std::collections::BTreeMap;
use std::time::Duration;

use batchtask_journal::outbox::{DeadLetter, SinkState};
use fastrand::Rng;

use self::progress::Saved;
use self::tasks::Tasks;
use crate::backoff;
use crate::circuit::{Circuit, CircuitState, Permit};

/// The first wait of an event whose failure is the sink's fault. It doubles with each
/// failure in a row.
const SINK_RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest wait of such an event.
const SINK_RETRY_MAX: Duration = Duration::from_secs(300);
/// The wait of an event that could not be read from the journal.
const UNREAD_RETRY_MS: u64 = 1000;

/// The options of a scheduler.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How many events may be in progress at once, each of another task.
    pub parallel: usize,
    /// How many events may wait that were not tried yet, and whose task is not held up.
    pub window: usize,
    /// How many undelivered events there may be. With as many, no more are read from
    /// the feed.
    pub parked_max: usize,
    /// How many dead letters there may be. With as many, no event is given up.
    pub dead_max: usize,
    /// How long to wait after each time that the receiver refused an event. After one
    /// more refusal, the event becomes a dead letter.
    pub retries: Vec<Duration>,
    /// What becomes of the later events of a task with a dead letter.
    pub after_dead: AfterDead,
}

/// What becomes of the later events of a task with a dead letter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AfterDead {
    /// They are delivered. The newest state of a task is in its newest event.
    #[default]
    Skip,
    /// They wait until an operator drops or retries the dead letter.
    Hold,
}

/// An event of the feed.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'a> {
    /// The `seq` of the event.
    pub seq: u64,
    /// The application of its task.
    pub app_id: &'a str,
    /// Its task.
    pub task_id: &'a str,
    /// When it arrived.
    pub received_at_ms: u64,
}

/// An event to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The `seq` of the event.
    pub seq: u64,
}

/// The result of an attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The receiver accepted the event.
    Delivered,
    /// The receiver refused the event. The text says why.
    Refused(String),
    /// The sink does not work.
    SinkFailed {
        /// What failed.
        error: String,
        /// How long the receiver asked to wait.
        retry_after: Option<Duration>,
    },
    /// The event could not be read from the journal.
    Unread(String),
    /// The event is no longer in the journal.
    Gone,
}

/// The undelivered events of a sink. All times are in milliseconds since 1970, of a
/// clock that only goes forward.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    rng: Rng,
    circuit: Circuit,
    tasks: Tasks,
    dead: BTreeMap<u64, DeadLetter>,
    /// The `seq` of the last event that was read from the feed.
    read_to: u64,
    /// The event that is sent as a probe.
    probe: Option<u64>,
    in_flight: usize,
    is_paused: bool,
    last_error: Option<LastError>,
    saved: Saved,
}

/// The last failure of a sink.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastError {
    /// When it happened.
    pub at_ms: u64,
    /// What failed.
    pub text: String,
}

/// Counts of a scheduler.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// The `seq` of the last event that was read from the feed.
    pub read_to: u64,
    /// Events that were read and are not delivered.
    pub undelivered: usize,
    /// Those of them that failed, or wait behind one that did.
    pub parked: usize,
    /// Tasks whose first event failed, or that a dead letter holds.
    pub held_tasks: usize,
    /// Events in progress.
    pub in_flight: usize,
    /// Dead letters.
    pub dead: usize,
    /// When the oldest undelivered event arrived.
    pub oldest_ms: Option<u64>,
    /// Whether events are sent.
    pub circuit: CircuitState,
    /// Whether an operator paused the sink.
    pub is_paused: bool,
    /// Whether nothing more is read, because too many events are parked.
    pub is_full: bool,
    /// The last failure.
    pub last_error: Option<LastError>,
}

impl Scheduler {
    /// Returns a scheduler that continues from a stored state.
    pub fn new(policy: Policy, state: SinkState, rng: Rng) -> Self {
        let saved = Saved::of(&state);
        let holds = policy.after_dead == AfterDead::Hold;
        let mut tasks = Tasks::default();
        for letter in state.dead.iter().filter(|_| holds) {
            tasks.hold(&letter.app_id, &letter.task_id);
        }
        for event in state.parked {
            tasks.restore(event);
        }
        let dead = state.dead.into_iter();
        Self {
            policy,
            rng,
            circuit: Circuit::default(),
            tasks,
            dead: dead.map(|letter| (letter.seq, letter)).collect(),
            read_to: state.position,
            probe: None,
            in_flight: 0,
            is_paused: state.paused,
            last_error: None,
            saved,
        }
    }

    /// Returns the `seq` after which the feed is read next, if there is room for more
    /// events.
    pub fn wants_after(&self) -> Option<u64> {
        let waiting = self.tasks.len() - self.tasks.blocked();
        let has_room = waiting < self.policy.window && !self.is_full();
        has_room.then_some(self.read_to)
    }

    fn is_full(&self) -> bool {
        self.tasks.len() >= self.policy.parked_max
    }

    /// Adds an event of the feed.
    pub fn offer(&mut self, event: Offered<'_>, now_ms: u64) {
        if event.seq > self.read_to {
            self.read_to = event.seq;
            self.tasks.add(event, now_ms);
        }
    }

    /// Passes over an event of the feed that is not for this sink.
    pub fn skip(&mut self, seq: u64) {
        self.read_to = self.read_to.max(seq);
    }

    /// Returns the next event to send, if one may be sent now. The caller must report
    /// its [`Outcome`].
    pub fn next(&mut self, now_ms: u64) -> Option<Delivery> {
        if self.is_paused || self.in_flight >= self.policy.parallel {
            return None;
        }
        let permit = self.circuit.permit(now_ms);
        if matches!(permit, Permit::Wait(_)) {
            return None;
        }
        let seq = self.tasks.start(now_ms)?;
        self.in_flight += 1;
        if permit == Permit::Probe {
            self.circuit.probe();
            self.probe = Some(seq);
        }
        Some(Delivery { seq })
    }

    /// Returns when [`next`](Self::next) may return an event although nothing else
    /// happened.
    pub fn wake_at(&self) -> Option<u64> {
        if self.is_paused || self.in_flight >= self.policy.parallel {
            return None;
        }
        let due_ms = self.tasks.due_ms()?;
        match self.circuit.permit(due_ms) {
            Permit::Wait(until_ms) => until_ms,
            _ => Some(due_ms),
        }
    }

    /// Takes the result of a delivery. Returns whether the event may be tried again.
    pub fn finish(&mut self, seq: u64, outcome: Outcome, now_ms: u64) -> bool {
        let Some(attempt) = self.tasks.finish(seq) else {
            return false;
        };
        self.in_flight -= 1;
        let is_probe = self.probe.take_if(|probe| *probe == seq).is_some();
        if let Some(text) = outcome.error() {
            let (at_ms, text) = (now_ms, text.to_owned());
            self.last_error = Some(LastError { at_ms, text });
        }
        match outcome {
            Outcome::Delivered => {
                self.circuit.succeeded();
                self.tasks.remove(seq);
                false
            }
            Outcome::Gone => {
                self.abandon(is_probe, now_ms);
                self.tasks.remove(seq);
                false
            }
            Outcome::Unread(_) => {
                self.abandon(is_probe, now_ms);
                self.tasks.postpone(seq, now_ms + UNREAD_RETRY_MS);
                true
            }
            Outcome::SinkFailed { error, retry_after } => {
                self.circuit
                    .failed(&mut self.rng, now_ms, is_probe, retry_after);
                let (min, max) = (SINK_RETRY_MIN, SINK_RETRY_MAX);
                let wait_ms = backoff::doubled(&mut self.rng, min, attempt.sink_failures, max);
                self.tasks.sink_failed(seq, now_ms + wait_ms, error);
                true
            }
            Outcome::Refused(error) => {
                self.circuit.succeeded();
                self.refused(seq, attempt.refusals + 1, error, now_ms)
            }
        }
    }

    fn abandon(&mut self, is_probe: bool, now_ms: u64) {
        if is_probe {
            self.circuit.abandoned(now_ms);
        }
    }

    /// Plans another attempt, or gives the event up. Returns whether it may be tried
    /// again.
    fn refused(&mut self, seq: u64, refusals: u32, error: String, now_ms: u64) -> bool {
        let retries = &self.policy.retries;
        let planned = retries.get(refusals as usize - 1);
        if planned.is_none() && self.dead.len() < self.policy.dead_max {
            self.give_up(seq, refusals, error, now_ms);
            return false;
        }
        // If there are too many dead letters, the last wait repeats.
        let wait = planned.or(retries.last()).copied();
        let wait = wait.unwrap_or(SINK_RETRY_MAX);
        let wait_ms = backoff::jittered(&mut self.rng, wait);
        self.tasks.refused(seq, now_ms + wait_ms, error);
        true
    }

    fn give_up(&mut self, seq: u64, attempts: u32, error: String, now_ms: u64) {
        let Some((app_id, task_id)) = self.tasks.remove(seq) else {
            return;
        };
        if self.policy.after_dead == AfterDead::Hold {
            self.tasks.hold(&app_id, &task_id);
        }
        let letter = DeadLetter {
            seq,
            app_id,
            task_id,
            attempts,
            died_at_ms: now_ms,
            error,
        };
        self.saved.died(seq);
        self.dead.insert(seq, letter);
    }

    /// Stops sending. Events in progress continue.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Sends again.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Returns the dead letters, by their `seq`.
    pub fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead.values()
    }

    /// Tries a dead letter again, before all later events of its task. Returns whether
    /// there is such a dead letter.
    pub fn retry_dead(&mut self, seq: u64, now_ms: u64) -> bool {
        let Some(letter) = self.take_dead(seq) else {
            return false;
        };
        let event = Offered {
            seq,
            app_id: &letter.app_id,
            task_id: &letter.task_id,
            received_at_ms: letter.died_at_ms,
        };
        self.tasks.add(event, now_ms);
        true
    }

    /// Drops a dead letter. Returns whether there is such a dead letter.
    pub fn drop_dead(&mut self, seq: u64) -> bool {
        self.take_dead(seq).is_some()
    }

    fn take_dead(&mut self, seq: u64) -> Option<DeadLetter> {
        let letter = self.dead.remove(&seq)?;
        self.saved.resolved(seq);
        if self.policy.after_dead == AfterDead::Hold {
            self.tasks.release(&letter.app_id, &letter.task_id);
        }
        Some(letter)
    }

    /// Returns whether the sink works.
    pub fn circuit(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Returns counts for operators.
    pub fn counts(&self) -> Counts {
        Counts {
            read_to: self.read_to,
            undelivered: self.tasks.len(),
            parked: self.tasks.blocked(),
            held_tasks: self.tasks.held(),
            in_flight: self.in_flight,
            dead: self.dead.len(),
            oldest_ms: self.tasks.oldest_ms(),
            circuit: self.circuit.state(),
            is_paused: self.is_paused,
            is_full: self.is_full(),
            last_error: self.last_error.clone(),
        }
    }
}

impl Outcome {
    /// Returns what failed, if something did.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Refused(error) | Self::SinkFailed { error, .. } | Self::Unread(error) => {
                Some(error)
            }
            Self::Delivered | Self::Gone => None,
        }
    }
}
