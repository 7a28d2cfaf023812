//! [`judge`]: decides about a task after an answer of the platform.

use batchtask_notification::time;
use serde_json::json;

use super::local::{LocalTask, TaskKey, is_open};
use crate::api::tasks::{Device, Task, TaskPolicy, TaskProgress};
use crate::signing::compact_time;

/// The types of tasks that are adopted: those that the platform pushes.
const UPGRADE_TYPES: [&str; 2] = ["firmwareUpgrade", "softwareUpgrade"];

/// For this time after a pushed change, an answer may be older than the change, in
/// milliseconds. It is not documented that the platform's answers follow its pushes
/// at once.
const LAG_MS: u64 = 5000;

/// A task as the platform showed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Which task it is.
    pub key: TaskKey,
    /// The task.
    pub task: Task,
    /// The platform's time of the answer, in milliseconds since 1970.
    pub date_ms: u64,
    /// Some of the devices for which it failed. `None` if the answer is a list, which
    /// does not contain them.
    pub failed_devices: Option<Vec<Device>>,
}

/// Details that a push does not contain, to be stored with the task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The platform's time of the answer, in milliseconds since 1970.
    pub date_ms: u64,
    /// The name of the task.
    pub name: String,
    /// When it begins, and how often it is repeated.
    pub policy: Option<TaskPolicy>,
    /// How many devices are in which state.
    pub progress: Option<TaskProgress>,
    /// Some of the devices for which it failed, if the answer contains them.
    pub failed_devices: Option<Vec<Device>>,
}

/// A change that no push reported. Its source is `reconcile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// Which task it is.
    pub key: TaskKey,
    /// Its type.
    pub task_type: String,
    /// Its status.
    pub status: String,
    /// The description of its status.
    pub status_desc: String,
    /// The time of the answer, as `yyyyMMdd'T'HHmmss'Z'`.
    pub event_time: String,
    /// The same in milliseconds since 1970: a whole second. The event sorts before
    /// every pushed event of that second.
    pub occurred_at_ms: u64,
}

impl FoundEvent {
    /// Returns the change in the form of the platform's notifications. The receiver
    /// decides about it as about a notification, and knows from its source that it
    /// was found.
    pub fn notification(&self) -> Vec<u8> {
        let notification = json!({
            "resource": "batchtask",
            "event": "update",
            "event_time": self.event_time,
            "notify_data": {"body": {
                "app_id": self.key.app_id,
                "task_id": self.key.task_id,
                "task_type": self.task_type,
                "status": self.status,
                "status_desc": self.status_desc,
            }},
        });
        notification.to_string().into_bytes()
    }
}

/// The decision about a task after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The task has the status that is known here. Only the details are stored.
    Same(Details),
    /// The task has another status, or is not known here: store both.
    Found(Details, FoundEvent),
    /// The answer may be older than the stored state: ask again.
    Overtaken(Details),
    /// The task is not known here, and is not adopted.
    Foreign,
}

impl Verdict {
    /// Returns the details to store, if the task is known here now.
    pub fn details(&self) -> Option<&Details> {
        match self {
            Self::Same(details) | Self::Found(details, _) | Self::Overtaken(details) => {
                Some(details)
            }
            Self::Foreign => None,
        }
    }
}

/// Decides about a task after an answer. `local` is the stored task, looked up after
/// the answer came. `adopt_since_ms` is the age up to which a task that has ended
/// is adopted.
///
/// Only the status is compared. The description of a status may differ between
/// answers and pushes, and would then become an event with every answer.
pub fn judge(seen: &Seen, local: Option<&LocalTask>, adopt_since_ms: u64) -> Verdict {
    let task = &seen.task;
    let second_ms = seen.date_ms - seen.date_ms % 1000;
    let details = Details {
        date_ms: seen.date_ms,
        name: task.task_name.clone(),
        policy: task.task_policy.clone(),
        progress: task.task_progress,
        failed_devices: seen.failed_devices.clone(),
    };
    match local {
        None if is_adopted(seen, adopt_since_ms) => Verdict::Found(details, event(seen, second_ms)),
        None => Verdict::Foreign,
        Some(local) if local.status == task.status || !has_state(task) => Verdict::Same(details),
        // A task that has ended for good does not change.
        Some(local) if local.is_final() => Verdict::Overtaken(details),
        Some(local) if local.occurred_at_ms.saturating_add(LAG_MS) >= second_ms => {
            Verdict::Overtaken(details)
        }
        Some(_) => Verdict::Found(details, event(seen, second_ms)),
    }
}

/// Whether an answer says what an event needs.
fn has_state(task: &Task) -> bool {
    !task.status.is_empty() && !task.task_type.is_empty()
}

fn event(seen: &Seen, second_ms: u64) -> FoundEvent {
    FoundEvent {
        key: seen.key.clone(),
        task_type: seen.task.task_type.clone(),
        status: seen.task.status.clone(),
        status_desc: seen.task.status_desc.clone(),
        event_time: compact_time(second_ms),
        occurred_at_ms: second_ms,
    }
}

/// Whether a task that is not known here is adopted: if it is an upgrade that is
/// open, or changed lately. The platform does not tell when a task changed. It did
/// not change before it was created, or before it was to begin.
fn is_adopted(seen: &Seen, adopt_since_ms: u64) -> bool {
    let task = &seen.task;
    if !UPGRADE_TYPES.contains(&task.task_type.as_str()) || !has_state(task) {
        return false;
    }
    let begins = task
        .task_policy
        .as_ref()
        .and_then(|policy| policy.schedule_time.as_deref());
    let changed_at_ms = [task.create_time.as_deref(), begins]
        .into_iter()
        .flatten()
        .filter_map(time::parse)
        .max();
    let since_ms = seen.date_ms.saturating_sub(adopt_since_ms);
    is_open(&task.status) || changed_at_ms.is_some_and(|at_ms| at_ms >= since_ms)
}
