//! [`Command`]: what an operator asks of a sink.

use batchtask_journal::StoredEvent;
use batchtask_journal::outbox::DeadLetter;
use tokio::sync::oneshot;

use crate::error::CommandError;

/// What an operator asks of a sink.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Send nothing until it is resumed, also after a restart.
    Pause,
    /// Send again.
    Resume,
    /// Send a message that reports nothing.
    Test,
    /// Send events again, marked as a replay.
    Replay(Replay),
    /// List the dead letters.
    ListDead,
    /// Try a dead letter again, or all of them.
    RetryDead(Option<u64>),
    /// Drop a dead letter, or all of them.
    DropDead(Option<u64>),
}

/// Which events are sent again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replay {
    /// The first `seq`.
    pub from: u64,
    /// The last `seq`.
    pub to: u64,
    /// Only events that arrived at this time or later, in milliseconds since 1970.
    pub since_ms: u64,
    /// Only events of this task: its application and its id.
    pub task: Option<(String, String)>,
}

impl Replay {
    /// Returns whether an event is sent again.
    pub fn selects(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        let is_of_task = |(app_id, task_id): &(String, String)| {
            event.app_id == *app_id && event.task_id == *task_id
        };
        (self.from..=self.to).contains(&stored.seq)
            && event.received_at_ms >= self.since_ms
            && self.task.as_ref().is_none_or(is_of_task)
    }
}

/// The result of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// It was carried out.
    Done,
    /// It concerned this number of dead letters.
    Changed(usize),
    /// The receiver accepted the test.
    Accepted,
    /// The test failed.
    Failed(String),
    /// The dead letters.
    Dead(Vec<DeadLetter>),
}

/// A command, and who waits for its result.
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) reply: oneshot::Sender<Result<Reply, CommandError>>,
}
