//! [`LocalTask`]: a task as it is stored here.

use batchtask_notification::{Class, Status};

/// Identifies a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The resource space.
    pub app_id: String,
    /// The id of the task.
    pub task_id: String,
}

/// A task as it is stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTask {
    /// Which task it is.
    pub key: TaskKey,
    /// Its status.
    pub status: String,
    /// When its status changed, in milliseconds since 1970.
    pub occurred_at_ms: u64,
    /// When its last event arrived, in milliseconds since 1970.
    pub last_received_at_ms: u64,
    /// Whether its last step is possible only through a change that was not seen.
    pub has_gap: bool,
}

impl LocalTask {
    pub(super) fn is_open(&self) -> bool {
        is_open(&self.status)
    }

    /// Whether it has ended for good.
    pub(super) fn is_final(&self) -> bool {
        Status::of(&self.status).class() == Class::Final
    }
}

/// Whether a task of this status has not ended.
pub(super) fn is_open(status: &str) -> bool {
    Status::of(status).class() == Class::Open
}
