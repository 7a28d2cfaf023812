//! [`Alerts`]: conditions that began, got worse or ended.

use std::collections::BTreeMap;

use batchtask_journal::StoredEvent;
use serde::{Deserialize, Serialize};

use super::TaskLine;
use super::condition::{Condition, Level, Observed};
use super::failed::FailedTasks;

/// A condition that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it reports.
    pub condition: Condition,
    /// How it changed.
    pub change: Change,
    /// Since when it has been true, in milliseconds since 1970.
    pub since_ms: u64,
    /// How many there are: tasks, sinks or bodies. 1 if it cannot be counted.
    pub count: u64,
    /// How many are new since the last message.
    pub added: u64,
    /// Its level. Without subjects and details, if it ended.
    pub level: Level,
    /// The tasks that it names.
    pub tasks: Vec<TaskLine>,
}

/// How a condition changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was not true, or no message reported it.
    Began,
    /// It got worse.
    Rose,
    /// It is no longer true.
    Ended,
}

impl Change {
    /// Returns a word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Rose => "rose",
            Self::Ended => "ended",
        }
    }
}

/// Compares what is known of each condition with what was last reported.
#[derive(Debug)]
pub struct Alerts {
    /// The name of the sink, which does not report itself.
    sink: String,
    conditions: Vec<Condition>,
    memory: Memory,
    /// The conditions as they were last observed. They are missing until then.
    current: BTreeMap<Condition, Current>,
    sending: Vec<Alert>,
    /// How often the memory changed.
    pub(super) revision: u64,
}

#[derive(Debug)]
struct Current {
    /// Since when it has been true, if it is.
    since_ms: u64,
    level: Level,
}

/// What survives a restart.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Memory {
    reported: BTreeMap<Condition, Reported>,
    failed: FailedTasks,
    /// The newest body of the quarantine that is known.
    quarantine: Option<u64>,
}

/// What the last message about a condition said.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Reported {
    since_ms: u64,
    mark: u64,
    subjects: Vec<String>,
}

impl Alerts {
    /// Returns alerts of these conditions for a sink, with what was stored of it.
    pub(super) fn new(sink: &str, conditions: &[Condition], memo: &str) -> Self {
        let memory = match memo {
            "" => Memory::default(),
            memo => serde_json::from_str(memo).unwrap_or_else(|error| {
                tracing::warn!("the sink `{sink}` forgot what it had reported: {error}");
                Memory::default()
            }),
        };
        Self {
            sink: sink.to_owned(),
            conditions: conditions.to_vec(),
            memory,
            current: BTreeMap::new(),
            sending: Vec::new(),
            revision: 0,
        }
    }

    /// Returns what must be stored.
    pub(super) fn memo(&self) -> String {
        // This cannot fail: the keys of all maps are texts.
        serde_json::to_string(&self.memory).unwrap_or_default()
    }

    fn reports(&self, condition: Condition) -> bool {
        self.conditions.contains(&condition)
    }

    /// Takes an event that the filter admits.
    pub(super) fn take(&mut self, stored: &StoredEvent) {
        if self.reports(Condition::TaskFailed) {
            self.revision += u64::from(self.memory.failed.take(stored));
        }
    }

    /// Takes what the host knows. `read_to`: the last event that was taken.
    pub(super) fn observe(&mut self, observed: &Observed, read_to: u64, now_ms: u64) {
        for (condition, level) in &observed.levels {
            match condition {
                _ if !self.reports(*condition) => {}
                Condition::TaskFailed if level.mark == 0 && observed.seq >= read_to => {
                    self.revision += u64::from(self.memory.failed.clear());
                }
                Condition::TaskFailed => {}
                _ => self.observe_level(*condition, level.clone(), now_ms),
            }
        }
    }

    fn observe_level(&mut self, condition: Condition, mut level: Level, now_ms: u64) {
        if condition == Condition::SinkFailing {
            self.settle_sinks(&mut level);
        }
        if condition == Condition::QuarantineGrew && self.memory.quarantine.is_none() {
            // What is in it already is no news.
            self.memory.quarantine = Some(level.mark);
            self.revision += 1;
        }
        self.follow_down(condition, &level);
        let entry = self.current.entry(condition);
        let current = entry.or_insert(Current {
            since_ms: now_ms,
            level: Level::default(),
        });
        if current.level.mark == 0 {
            current.since_ms = now_ms;
        }
        current.level = level;
    }

    /// Leaves out this sink, and adds those of which nothing new is known.
    fn settle_sinks(&self, level: &mut Level) {
        let reported = self.memory.reported.get(&Condition::SinkFailing);
        let was_reported =
            |name: &String| reported.is_some_and(|reported| reported.subjects.contains(name));
        let unknown = std::mem::take(&mut level.unknown);
        level
            .subjects
            .extend(unknown.into_iter().filter(was_reported));
        level.subjects.retain(|name| *name != self.sink);
        level.mark = level.subjects.len() as u64;
    }

    /// What got better may get worse again, which is then worth a message.
    fn follow_down(&mut self, condition: Condition, level: &Level) {
        if let Some(reported) = self.memory.reported.get_mut(&condition)
            && (1..reported.mark).contains(&level.mark)
        {
            reported.mark = level.mark;
            reported
                .subjects
                .retain(|name| level.subjects.contains(name));
            self.revision += 1;
        }
    }

    /// Returns what is to be sent.
    pub(super) fn changes(&self) -> Vec<Alert> {
        let conditions = self.conditions.iter();
        conditions
            .filter_map(|condition| match condition {
                Condition::TaskFailed => self.memory.failed.change(),
                condition => self.change(*condition),
            })
            .collect()
    }

    fn change(&self, condition: Condition) -> Option<Alert> {
        let current = self.current.get(&condition)?;
        let level = &current.level;
        let reported = self.memory.reported.get(&condition);
        let before = match condition {
            Condition::QuarantineGrew => self.memory.quarantine.unwrap_or(level.mark),
            _ => reported.map_or(0, |reported| reported.mark),
        };
        let has_new = |reported: &Reported| {
            let mut subjects = level.subjects.iter();
            level.mark > before || subjects.any(|name| !reported.subjects.contains(name))
        };
        let change = match reported {
            None if level.mark > before => Change::Began,
            Some(_) if level.mark == 0 => Change::Ended,
            Some(reported) if has_new(reported) => Change::Rose,
            _ => return None,
        };
        let since_ms = reported.map_or(current.since_ms, |reported| reported.since_ms);
        let added = level.mark.saturating_sub(before);
        let count = match condition {
            Condition::QuarantineGrew => added,
            Condition::CertificateExpires => 1,
            _ => level.mark,
        };
        Some(Alert {
            condition,
            change,
            since_ms,
            count,
            added,
            level: level.clone(),
            tasks: Vec::new(),
        })
    }

    /// Starts a message with these alerts.
    pub(super) fn begin(&mut self) -> Vec<Alert> {
        self.sending = self.changes();
        self.sending.clone()
    }

    /// The message was accepted, or not.
    pub(super) fn finish(&mut self, is_accepted: bool) {
        for alert in std::mem::take(&mut self.sending) {
            if is_accepted {
                self.accepted(alert);
                self.revision += 1;
            }
        }
    }

    fn accepted(&mut self, alert: Alert) {
        let condition = alert.condition;
        if condition == Condition::TaskFailed {
            return self.memory.failed.accepted(&alert);
        }
        if condition == Condition::QuarantineGrew {
            self.memory.quarantine = Some(alert.level.mark);
        }
        if alert.change == Change::Ended {
            self.memory.reported.remove(&condition);
            return;
        }
        let reported = Reported {
            since_ms: alert.since_ms,
            mark: alert.level.mark,
            subjects: alert.level.subjects,
        };
        self.memory.reported.insert(condition, reported);
    }

    /// Returns when the oldest failure of a task arrived that is not reported.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.memory.failed.oldest_ms()
    }
}
