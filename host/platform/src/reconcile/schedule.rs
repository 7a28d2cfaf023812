//! [`Schedule`]: which call to make next, and when.

use super::local::{LocalTask, TaskKey};
use super::queue::{Due, DueQueue, Urgency};
use super::scan::{Listed, Scan};
use super::verdict::Verdict;
use crate::api::tasks::Task;
use crate::pages::Page;

/// The first pause after a failed call, in milliseconds. Each further failure in a
/// row doubles it.
const FIRST_PAUSE_MS: u64 = 1000;

/// The longest pause after failed calls, in milliseconds.
const PAUSE_MAX_MS: u64 = 5 * 60 * 1000;

/// How long after an overtaken answer a task is asked for again, at least, in
/// milliseconds.
const OVERTAKEN_MS: u64 = 6000;

/// How long a task whose call failed waits behind others, in milliseconds.
const FAILED_MS: u64 = 30 * 1000;

/// One of this many calls is for a scan, even if tasks are due.
const SCAN_SHARE: u32 = 4;

/// How the schedule spends its budget.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleOptions {
    /// How many calls it makes in a second, at most.
    pub calls_per_second: u32,
    /// An open task is silent after this time without an event, in milliseconds.
    pub silent_after_ms: u64,
    /// How often an open task is asked for, in milliseconds.
    pub recheck_ms: u64,
    /// How often all tasks are listed, in milliseconds.
    pub scan_ms: u64,
    /// The age up to which a task that has ended is adopted, in milliseconds.
    pub adopt_since_ms: u64,
}

impl Default for ScheduleOptions {
    /// Ten calls per second; open tasks every ten minutes; lists every hour; tasks
    /// of the last day are adopted.
    fn default() -> Self {
        let minute_ms = 60 * 1000;
        Self {
            calls_per_second: 10,
            silent_after_ms: 15 * minute_ms,
            recheck_ms: 10 * minute_ms,
            scan_ms: 60 * minute_ms,
            adopt_since_ms: 24 * 60 * minute_ms,
        }
    }
}

/// A question to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Ask for one task.
    Show(TaskKey, Urgency),
    /// Read one page of a list.
    List(Listed),
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make this call now.
    Call(Query),
    /// Wait until this time, in milliseconds since 1970, or until something is
    /// learned.
    Wait(u64),
}

/// Decides which call to make next. All times are this host's, in milliseconds
/// since 1970.
#[derive(Debug)]
pub struct Schedule {
    options: ScheduleOptions,
    app_ids: Vec<String>,
    tasks: DueQueue,
    scan: Scan,
    next_scan_ms: u64,
    /// When the scan of which pages are left began.
    scan_began_ms: u64,
    /// When the budget allows the next call.
    next_call_ms: u64,
    failures: u32,
    calls: u32,
}

impl Schedule {
    /// Makes a schedule for these resource spaces. The first scan is due at once.
    pub fn new(options: ScheduleOptions, app_ids: Vec<String>) -> Self {
        Self {
            options,
            app_ids,
            tasks: DueQueue::default(),
            scan: Scan::default(),
            next_scan_ms: 0,
            scan_began_ms: 0,
            next_call_ms: 0,
            failures: 0,
            calls: 0,
        }
    }

    /// Replaces the resource spaces. The next scan lists them. The first ones are
    /// listed at once.
    pub fn set_app_ids(&mut self, app_ids: Vec<String>) {
        if self.app_ids.is_empty() {
            self.next_scan_ms = 0;
        }
        self.app_ids = app_ids;
    }

    /// Whether nothing is due: all lists were read, and no task is to be asked for
    /// now.
    pub fn is_idle(&self, now_ms: u64) -> bool {
        self.due_since_ms(now_ms).is_none()
    }

    /// Returns since when the oldest question has been due, in milliseconds since
    /// 1970. Returns `None` if nothing is due.
    pub fn due_since_ms(&self, now_ms: u64) -> Option<u64> {
        let scan_ms = match (self.scan.is_empty(), self.next_scan_ms) {
            (false, _) => self.scan_began_ms,
            // The first one.
            (true, 0) => now_ms,
            (true, next_ms) => next_ms,
        };
        let oldest_ms = self.tasks.oldest_ms().map_or(scan_ms, |it| it.min(scan_ms));
        (oldest_ms <= now_ms).then_some(oldest_ms)
    }

    /// Returns how many tasks wait to be asked for, now or later.
    pub fn waiting(&self) -> usize {
        self.tasks.len()
    }

    /// Learns of a task that is known here: at the start, or after an event of it.
    pub fn learn(&mut self, task: &LocalTask, now_ms: u64) {
        let urgency = if task.has_gap {
            Urgency::Gap
        } else if task.is_open() && self.silent_at_ms(task) <= now_ms {
            Urgency::Silent
        } else if task.is_open() && self.tasks.contains(&task.key) {
            // A usual step, and the task will be asked for anyway.
            return;
        } else {
            Urgency::Details
        };
        let at_ms = now_ms;
        self.tasks.set(task.key.clone(), Due { at_ms, urgency });
    }

    /// Forgets a task, because the platform does not have it any more.
    pub fn forget(&mut self, key: &TaskKey) {
        self.tasks.remove(key);
    }

    fn silent_at_ms(&self, task: &LocalTask) -> u64 {
        task.last_received_at_ms
            .saturating_add(self.options.silent_after_ms)
    }

    /// Returns what to do next.
    pub fn next(&mut self, now_ms: u64) -> Next {
        // A clock that was set back must not stop the calls.
        self.next_call_ms = self.next_call_ms.min(now_ms.saturating_add(PAUSE_MAX_MS));
        self.next_scan_ms = self
            .next_scan_ms
            .min(now_ms.saturating_add(self.options.scan_ms));
        if now_ms < self.next_call_ms {
            return Next::Wait(self.next_call_ms);
        }
        if self.scan.is_empty() && self.next_scan_ms <= now_ms {
            self.scan.begin(&self.app_ids);
            self.scan_began_ms = now_ms;
            self.next_scan_ms = now_ms.saturating_add(self.options.scan_ms);
        }
        match self.pop(now_ms) {
            Some(query) => {
                self.calls = self.calls.wrapping_add(1);
                self.next_call_ms =
                    now_ms + 1000_u64.div_ceil(self.options.calls_per_second.max(1).into());
                Next::Call(query)
            }
            None => Next::Wait(
                self.tasks
                    .next_at_ms()
                    .map_or(self.next_scan_ms, |at_ms| at_ms.min(self.next_scan_ms)),
            ),
        }
    }

    /// Tasks come first, but a scan goes on even if there are always some.
    fn pop(&mut self, now_ms: u64) -> Option<Query> {
        if self.calls.is_multiple_of(SCAN_SHARE)
            && let Some(listed) = self.scan.pop()
        {
            return Some(Query::List(listed));
        }
        if let Some((key, urgency)) = self.tasks.pop(now_ms) {
            return Some(Query::Show(key, urgency));
        }
        self.scan.pop().map(Query::List)
    }

    /// Reports the verdict about a task that is stored here. `task` is its
    /// state after the verdict was stored.
    pub fn settle(&mut self, task: &LocalTask, verdict: &Verdict, now_ms: u64) {
        let (after_ms, urgency) = match verdict {
            Verdict::Overtaken(_) => (self.overtaken_ms(task, now_ms), Urgency::Overtaken),
            _ if !task.is_open() => return self.tasks.remove(&task.key),
            _ => (self.options.recheck_ms, Urgency::Open),
        };
        let at_ms = now_ms.saturating_add(after_ms);
        let is_silent = urgency == Urgency::Open && self.silent_at_ms(task) <= at_ms;
        let urgency = if is_silent { Urgency::Silent } else { urgency };
        let due = Due { at_ms, urgency };
        self.tasks.set(task.key.clone(), due);
    }

    /// Returns how long after an overtaken answer a task is asked for again. A task
    /// that is dated ahead, or has ended, is not asked for more often than others.
    fn overtaken_ms(&self, task: &LocalTask, now_ms: u64) -> u64 {
        let recheck_ms = self.options.recheck_ms;
        if task.is_final() {
            return recheck_ms;
        }
        let ahead_ms = task.occurred_at_ms.saturating_sub(now_ms);
        ahead_ms.saturating_add(OVERTAKEN_MS).min(recheck_ms)
    }

    /// Reports that a page of a list came.
    pub fn listed(&mut self, listed: Listed, page: &Page<Task>, now_ms: u64) {
        self.failures = 0;
        let since_ms = page
            .date_ms
            .unwrap_or(now_ms)
            .saturating_sub(self.options.adopt_since_ms);
        self.scan.answered(listed, page, since_ms);
    }

    /// Reports that one task came, or that the platform does not have it.
    pub fn shown(&mut self) {
        self.failures = 0;
    }

    /// Reports that a call failed. No call is made for a while. The failure may
    /// concern only this call, so others go first then.
    pub fn failed(&mut self, query: Query, is_temporary: bool, now_ms: u64) {
        let pause_ms = FIRST_PAUSE_MS
            .saturating_mul(1 << self.failures.min(16))
            .min(PAUSE_MAX_MS);
        self.failures = self.failures.saturating_add(1);
        self.next_call_ms = now_ms.saturating_add(pause_ms);
        match query {
            Query::List(listed) if is_temporary => self.scan.failed(listed),
            // The next scan tries again.
            Query::List(_) => {}
            Query::Show(key, urgency) => {
                let wait_ms = if is_temporary {
                    pause_ms + FAILED_MS
                } else {
                    self.options.recheck_ms
                };
                let at_ms = now_ms.saturating_add(wait_ms);
                self.tasks.set(key, Due { at_ms, urgency });
            }
        }
    }
}
