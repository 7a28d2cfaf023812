//! What a sink sends to people, instead of each event: digests and alerts. Without input
//! and output.
//!
//! - `digest`: [`Digest`]: events as counts, and the first few tasks.
//! - `alerts`: [`Alerts`]: conditions that began, got worse or ended.
//! - `condition`: [`Condition`], and [`Observed`], what is known of each.
//! - `failed`: the tasks that failed.
//! - `pace`: when the next message may be sent.
//! - `reporter`: [`Reporter`]: all of these together, for one sink.
//! - `note`: a report in words.

mod alerts;
mod condition;
mod digest;
mod failed;
pub(crate) mod note;
mod pace;
mod reporter;

use std::time::Duration;

pub use self::alerts::{Alert, Alerts, Change};
pub use self::condition::{Condition, Level, Observed};
pub use self::digest::{Collected, Digest};
pub use self::reporter::{Reporter, Sending};

/// How many tasks a report names.
pub const TASKS_MAX: usize = 10;

/// The shortest and the longest time between two reports.
pub const EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(3600);

/// What is sent to people.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// Events, as counts.
    Digest(Collected),
    /// Conditions that changed.
    Alerts(Vec<Alert>),
    /// Nothing. It shows that the sink works.
    Test,
}

/// A task in a report.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TaskLine {
    /// The application of the task.
    pub app_id: String,
    /// The id of the task.
    pub task_id: String,
    /// The type of the task.
    pub task_type: String,
    /// Its status.
    pub status: String,
    /// What the platform says about the status.
    pub status_desc: String,
    /// How many of the events are of this task. 0 in an alert.
    pub changes: u64,
    /// Its name, if the platform was asked.
    pub name: Option<String>,
    /// Its devices, if the platform was asked.
    pub devices: Option<Devices>,
}

/// Counts of the devices of a task.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Devices {
    /// All devices.
    pub total: u32,
    /// Devices that succeeded.
    pub succeeded: u32,
    /// Devices that failed.
    pub failed: u32,
}

impl Report {
    /// Returns the tasks that it names.
    pub(crate) fn tasks_mut(&mut self) -> impl Iterator<Item = &mut TaskLine> {
        let (tasks, alerts): (&mut [TaskLine], &mut [Alert]) = match self {
            Self::Digest(collected) => (&mut collected.tasks, &mut []),
            Self::Alerts(alerts) => (&mut [], alerts),
            Self::Test => (&mut [], &mut []),
        };
        let of_alerts = alerts.iter_mut().flat_map(|alert| &mut alert.tasks);
        tasks.iter_mut().chain(of_alerts)
    }
}

impl TaskLine {
    pub(crate) fn is_of(&self, app_id: &str, task_id: &str) -> bool {
        self.app_id == app_id && self.task_id == task_id
    }
}
