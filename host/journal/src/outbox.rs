//! [`Outbox`]: the progress of sinks, to which events are passed on.

use std::time::Duration;

use async_trait::async_trait;

use crate::Error;

/// The part of a journal that stores how far its events were passed on.
///
/// A sink reads the feed, and delivers each event. The journal itself is the queue: a
/// sink stores only its position in the feed, the events at or before the position that
/// are not delivered yet (they are *parked*), and those that were given up (its *dead
/// letters*). A sink that sends reports instead of events also has a *memo*.
///
/// # Rules
///
/// A backend must keep these rules. The conformance suite checks them.
///
/// 1. **One owner.** Only the owner of a sink changes it. Each
///    [`acquire`](Self::acquire) that succeeds has a greater fencing number than all
///    before it. From then on, [`save`](Self::save), [`renew`](Self::renew) and
///    [`release`](Self::release) with a smaller number change nothing, and return
///    [`Hold::Lost`].
/// 2. **A lease has an end.** In a journal that several hosts share, another owner may
///    acquire a sink once the lease of its owner has passed by the clock of the store.
///    A journal of one process lets any caller acquire it at once.
/// 3. **A change is atomic.** All of a [`SinkChange`] is stored, or nothing. It may be
///    repeated.
/// 4. A sink without an owner keeps its state.
///
/// A change need not survive a loss of power: events are then delivered again.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Makes `owner` the owner of a sink for the time `lease`. `owner` names one
    /// running relay, and no other one ever. A new sink begins after the event with the
    /// `seq` `position`.
    async fn acquire(
        &self,
        sink: &str,
        owner: &str,
        lease: Duration,
        position: u64,
    ) -> Result<Acquired, Error>;

    /// Extends the lease of the owner with this fencing number.
    async fn renew(&self, sink: &str, fence: u64, lease: Duration) -> Result<Hold, Error>;

    /// Ends the lease of the owner with this fencing number.
    async fn release(&self, sink: &str, fence: u64) -> Result<Hold, Error>;

    /// Returns the state of a sink, or `None` if it was never acquired.
    async fn load(&self, sink: &str) -> Result<Option<SinkState>, Error>;

    /// Stores a change of the owner with this fencing number.
    async fn save(&self, sink: &str, fence: u64, change: &SinkChange) -> Result<Hold, Error>;
}

/// The result of [`Outbox::acquire`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Acquired {
    /// The caller owns the sink, with this fencing number.
    Owned(u64),
    /// Another owner has the sink.
    HeldBy(String),
}

/// Whether the caller still owns a sink.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// It does, and the call took effect.
    Kept,
    /// It does not, and nothing was changed.
    Lost,
}

/// The stored state of a sink.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SinkState {
    /// The last owner, or an empty text if it released the sink.
    pub owner: String,
    /// The `seq` up to which all events are delivered, parked, dead letters, or not for
    /// this sink.
    pub position: u64,
    /// Whether an operator paused the sink.
    pub paused: bool,
    /// What else the sink remembers, in a form of its own. Empty at first.
    pub memo: String,
    /// The parked events, by their `seq`.
    pub parked: Vec<ParkedEvent>,
    /// The dead letters, by their `seq`.
    pub dead: Vec<DeadLetter>,
}

/// An event at or before the position that is not delivered yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParkedEvent {
    /// The `seq` of the event.
    pub seq: u64,
    /// The application of its task.
    pub app_id: String,
    /// Its task.
    pub task_id: String,
    /// How often the receiver refused it.
    pub attempts: u32,
    /// When it may be tried again, in milliseconds since 1970.
    pub not_before_ms: u64,
    /// Why the last attempt failed. Empty if there was no attempt.
    pub error: String,
}

/// An event that was given up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetter {
    /// The `seq` of the event.
    pub seq: u64,
    /// The application of its task.
    pub app_id: String,
    /// Its task.
    pub task_id: String,
    /// How often the receiver refused it.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub died_at_ms: u64,
    /// Why the last attempt failed.
    pub error: String,
}

/// A change of a sink.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SinkChange {
    /// The new position.
    pub position: u64,
    /// Whether the sink is paused.
    pub paused: bool,
    /// The new memo. `None`: it stays as it is.
    pub memo: Option<String>,
    /// Events that are parked now, or whose row changed.
    pub parked: Vec<ParkedEvent>,
    /// The `seq` of events that are no longer parked.
    pub unparked: Vec<u64>,
    /// New dead letters.
    pub dead: Vec<DeadLetter>,
    /// The `seq` of dead letters that were dropped, or are tried again.
    pub resolved: Vec<u64>,
}
