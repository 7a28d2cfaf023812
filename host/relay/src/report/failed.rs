//! [`FailedTasks`]: the tasks that failed, as far as the feed shows it.

use batchtask_journal::StoredEvent;
use batchtask_notification::Class;
use serde::{Deserialize, Serialize};

use super::alerts::{Alert, Change};
use super::condition::{Condition, Level};
use super::{TASKS_MAX, TaskLine};

/// How many failed tasks are remembered by their id. The others are only counted.
const TRACKED_MAX: usize = 200;
/// The greatest length of a description, in bytes.
const DESC_BYTES_MAX: usize = 200;

/// The tasks whose last event is a failure.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct FailedTasks {
    tasks: Vec<Failed>,
    /// How many failed tasks are not in `tasks`, because there are too many.
    uncounted: u64,
    /// How many of these no message has reported.
    unreported: u64,
    /// Since when the condition has been true, if a message reported it.
    since_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Failed {
    app: String,
    task: String,
    r#type: String,
    status: String,
    desc: String,
    seq: u64,
    at_ms: u64,
    reported: bool,
}

impl Failed {
    fn of(stored: &StoredEvent) -> Self {
        let event = &stored.event;
        let mut desc = event.status_desc.clone();
        desc.truncate(desc.floor_char_boundary(DESC_BYTES_MAX));
        Self {
            app: event.app_id.clone(),
            task: event.task_id.clone(),
            r#type: event.task_type.clone(),
            status: event.status.clone(),
            desc,
            seq: stored.seq,
            at_ms: event.received_at_ms,
            reported: false,
        }
    }

    fn line(&self) -> TaskLine {
        TaskLine {
            app_id: self.app.clone(),
            task_id: self.task.clone(),
            task_type: self.r#type.clone(),
            status: self.status.clone(),
            status_desc: self.desc.clone(),
            ..TaskLine::default()
        }
    }
}

impl FailedTasks {
    /// Takes an event. Returns whether something changed.
    pub(super) fn take(&mut self, stored: &StoredEvent) -> bool {
        // Something newer is known of the task.
        if stored.late {
            return false;
        }
        let event = &stored.event;
        let before = self.tasks.len();
        self.tasks
            .retain(|failed| failed.app != event.app_id || failed.task != event.task_id);
        if Class::of_rank(event.rank) != Class::Retryable {
            return self.tasks.len() != before;
        }
        if self.tasks.len() >= TRACKED_MAX {
            let reported = self.tasks.iter().position(|failed| failed.reported);
            let dropped = self.tasks.remove(reported.unwrap_or(0));
            self.uncounted += 1;
            self.unreported += u64::from(!dropped.reported);
        }
        self.tasks.push(Failed::of(stored));
        true
    }

    /// The journal has no failed task. Returns whether something changed.
    pub(super) fn clear(&mut self) -> bool {
        let is_empty = self.is_empty();
        self.tasks.clear();
        (self.uncounted, self.unreported) = (0, 0);
        !is_empty
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.uncounted == 0
    }

    /// Returns the alert that is to be sent.
    pub(super) fn change(&self) -> Option<Alert> {
        let fresh: Vec<&Failed> = self.tasks.iter().filter(|task| !task.reported).collect();
        let added = fresh.len() as u64 + self.unreported;
        let change = match self.since_ms {
            None if added > 0 => Change::Began,
            Some(_) if added > 0 => Change::Rose,
            Some(_) if self.is_empty() => Change::Ended,
            _ => return None,
        };
        let mut times = self.tasks.iter().map(|task| task.at_ms);
        let first_ms = times.next().unwrap_or_default();
        let last = fresh.last().map_or(0, |failed| failed.seq);
        Some(Alert {
            condition: Condition::TaskFailed,
            change,
            since_ms: self.since_ms.unwrap_or(first_ms),
            count: self.tasks.len() as u64 + self.uncounted,
            added,
            level: Level::of_count(last),
            tasks: fresh
                .iter()
                .take(TASKS_MAX)
                .map(|task| task.line())
                .collect(),
        })
    }

    /// A message with this alert was accepted.
    pub(super) fn accepted(&mut self, alert: &Alert) {
        if alert.change == Change::Ended {
            self.since_ms = None;
            return;
        }
        self.since_ms = Some(alert.since_ms);
        for task in self.tasks.iter_mut() {
            task.reported |= task.seq <= alert.level.mark;
        }
        self.unreported = 0;
    }

    /// Returns when the oldest failure arrived that no message has reported.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let mut fresh = self.tasks.iter().filter(|task| !task.reported);
        fresh.next().map(|task| task.at_ms)
    }
}
