//! [`Condition`]: what an alert reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an alert reports.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// A task failed, at least in part.
    TaskFailed,
    /// Open tasks have had no new event for a long time.
    TaskStale,
    /// The host refuses pushes for a reason of its own.
    PushesRefused,
    /// Bodies were put into the quarantine.
    QuarantineGrew,
    /// The clock of the host differs from the platform's.
    WrongClock,
    /// The certificate of the host expires soon.
    CertificateExpires,
    /// Another sink does not work, is full, or has dead letters.
    SinkFailing,
}

impl Condition {
    /// All conditions, each with its name.
    pub const ALL: &[(&str, Self)] = &[
        ("task_failed", Self::TaskFailed),
        ("task_stale", Self::TaskStale),
        ("pushes_refused", Self::PushesRefused),
        ("quarantine_grew", Self::QuarantineGrew),
        ("wrong_clock", Self::WrongClock),
        ("certificate_expires", Self::CertificateExpires),
        ("sink_failing", Self::SinkFailing),
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(_, condition)| *condition == self)
            .map_or("", |(name, _)| name)
    }
}

/// What the host knows of the conditions at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The greatest `seq` of the journal when the host looked. It knows all events up to
    /// there.
    pub seq: u64,
    /// The level of each condition that could be observed. The others stay as they are.
    pub levels: BTreeMap<Condition, Level>,
}

/// How bad a condition is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Level {
    /// 0: all is well. It grows when the condition gets worse:
    ///
    /// - `task_failed`, `task_stale`: the number of tasks.
    /// - `quarantine_grew`: the number of the newest body.
    /// - `certificate_expires`: a number that grows as the time comes closer.
    /// - `sink_failing`: the number of sinks, which are the `subjects`.
    /// - `pushes_refused`, `wrong_clock`: 1.
    pub mark: u64,
    /// What it concerns, such as the names of sinks. Another subject is worth a message.
    pub subjects: Vec<String>,
    /// Subjects of which it is not known whether it concerns them, such as a sink that was
    /// not tried since the start. For these, what was reported is taken to be true.
    pub unknown: Vec<String>,
    /// More about it, in plain English.
    pub details: Vec<String>,
}

impl Level {
    /// Returns the level of a condition that is true or not, for this reason.
    pub fn of_reason(reason: Option<String>) -> Self {
        Self {
            mark: reason.is_some().into(),
            details: reason.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Returns the level of a number.
    pub fn of_count(count: u64) -> Self {
        Self {
            mark: count,
            ..Self::default()
        }
    }
}
