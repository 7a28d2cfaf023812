//! The lists in which tasks are found that are not known here.

use std::collections::VecDeque;

use batchtask_notification::time;

use crate::api::tasks::Task;
use crate::pages::Page;

/// The statuses of tasks that have not ended.
pub const OPEN_STATUSES: [&str; 4] = ["Initializing", "Waitting", "Processing", "Stopping"];

/// The most tasks of one list in one scan. It bounds a list that does not end.
const TASKS_MAX: usize = 10_000;

/// How often a page is tried in one scan. During an outage the pauses between calls
/// grow, so this is hours.
const FAILURES_MAX: u32 = 10;

/// One page of a list of tasks, from the newest to the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The resource space.
    pub app_id: String,
    /// The status. `None`: any, but only tasks that were created lately are of
    /// interest.
    pub status: Option<&'static str>,
    /// The marker of the page before.
    pub marker: Option<String>,
    /// How many tasks were on the pages before.
    before: usize,
    /// How often this page failed.
    failures: u32,
}

/// The pages that are left of a scan.
///
/// The platform cannot list the tasks that changed lately. So the open tasks are
/// listed by their status, whatever their age, and the others as far as they were
/// created lately.
#[derive(Debug, Default)]
pub(super) struct Scan {
    left: VecDeque<Listed>,
}

impl Scan {
    /// Begins a scan of these resource spaces.
    pub(super) fn begin(&mut self, app_ids: &[String]) {
        let statuses = OPEN_STATUSES.into_iter().map(Some).chain([None]);
        let lists = app_ids.iter().flat_map(|app_id| {
            let listed = |status| Listed {
                app_id: app_id.clone(),
                status,
                marker: None,
                before: 0,
                failures: 0,
            };
            statuses.clone().map(listed)
        });
        self.left = lists.collect();
    }

    pub(super) fn pop(&mut self) -> Option<Listed> {
        self.left.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Puts a page behind the others, because its call failed. A page that fails
    /// again and again is left to the next scan.
    pub(super) fn failed(&mut self, listed: Listed) {
        let failures = listed.failures + 1;
        if failures < FAILURES_MAX {
            self.left.push_back(Listed { failures, ..listed });
        }
    }

    /// Adds the next page, if it may contain tasks of interest.
    pub(super) fn answered(&mut self, listed: Listed, page: &Page<Task>, since_ms: u64) {
        let is_recent = |task: &Task| {
            let created = task.create_time.as_deref().and_then(time::parse);
            created.is_none_or(|at_ms| at_ms >= since_ms)
        };
        let is_over = listed.status.is_none() && !page.items.last().is_some_and(is_recent);
        let is_last = page.is_last(listed.before, listed.marker.as_deref());
        let before = listed.before + page.items.len();
        if !is_over && !is_last && before < TASKS_MAX {
            let marker = page.marker.clone();
            self.left.push_front(Listed {
                marker,
                before,
                failures: 0,
                ..listed
            });
        }
    }
}
