//! Bodies that the platform could have sent.

use batchtask_notification::{TASK_TYPES, time};
use serde_json::{Value, json};

use super::random::Random;

/// 2026-01-31T12:00:00Z in milliseconds since 1970, a time in the past.
pub(crate) const BASE_MS: u64 = 1_769_860_800_000;

const STATUSES: [&str; 9] = [
    "Initializing",
    "Waitting",
    "Processing",
    "Stopping",
    "PartialSuccess",
    "Fail",
    "Success",
    "Stopped",
    "Paused",
];

/// The content of a notification.
#[derive(Clone, Debug)]
pub(crate) struct Notification {
    pub(crate) app_id: String,
    pub(crate) task_id: String,
    pub(crate) task_type: String,
    pub(crate) status: String,
    pub(crate) status_desc: String,
    pub(crate) at_ms: u64,
    pub(crate) request_id: Option<String>,
}

impl Notification {
    /// Returns the notification with this number. Each number is another event.
    pub(crate) fn numbered(serial: u64) -> Self {
        Self {
            app_id: "app".into(),
            task_id: format!("task-{}", serial % 50),
            task_type: "softwareUpgrade".into(),
            status: "Processing".into(),
            status_desc: format!("change {serial}"),
            at_ms: BASE_MS + serial,
            request_id: Some(format!("request-{serial}")),
        }
    }

    /// Returns a random notification with this number about one of `tasks` tasks.
    /// Many changes of a task have the same time.
    pub(crate) fn random(serial: u64, tasks: usize, random: &mut Random) -> Self {
        let task = random.below(tasks);
        Self {
            app_id: format!("app-{}", task % 3),
            task_id: format!("task-{task}"),
            task_type: random.one_of(&TASK_TYPES).into(),
            status: random.one_of(&STATUSES).into(),
            status_desc: format!("change {serial} ✓"),
            at_ms: BASE_MS + random.below(200) as u64 * 500,
            request_id: (random.below(4) > 0).then(|| format!("request-{}", random.below(9))),
        }
    }

    /// Returns the notification as JSON, in today's form.
    pub(crate) fn value(&self) -> Value {
        let at = time::rfc3339(self.at_ms);
        let (seconds, _) = at.split_once('.').expect("it has milliseconds");
        json!({
            "resource": "batchtask",
            "event": "update",
            "event_time": seconds.replace(['-', ':'], "") + "Z",
            "event_time_ms": at,
            "request_id": self.request_id,
            "notify_data": {"body": {
                "app_id": self.app_id,
                "task_id": self.task_id,
                "task_type": self.task_type,
                "status": self.status,
                "status_desc": self.status_desc,
            }},
        })
    }

    pub(crate) fn body(&self) -> String {
        self.value().to_string()
    }
}
