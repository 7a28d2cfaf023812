//! The reads of the journal in memory.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use batchtask_guest::journal::{REQUEST_IDS_MAX, TRAIL_STEPS_MAX, ranks};

use super::state::{EventState, State, TaskState, place};
use crate::cursor::{self, EventKey, TaskKey};
use crate::page::{Page, event_bytes, reject_bytes, task_bytes};
use crate::search::SearchText;
use crate::{
    Class, Error, Event, EventFlags, HistoryPage, QuarantinePage, StatusCounts, Step, StoredEvent,
    Summary, TRAIL_BYTES_MAX, Task, TaskOrder, TaskPage, TaskQuery,
};

impl State {
    pub(super) fn find_task(&self, app_id: &str, task_id: &str) -> Option<Task> {
        self.task_state(app_id, task_id).map(|task| self.view(task))
    }

    pub(super) fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let text = SearchText::of(query)?;
        let cursor = query.cursor.as_deref();
        let after = cursor.map(|cursor| TaskKey::decode(cursor, query.order));
        let after = after.transpose()?;
        let after = after.and_then(|key| self.sort_key(&key, query.order));
        let matches = |task: &&TaskState| matches(self.state(task), query, text.as_ref());
        let mut tasks: Vec<_> = self.present_tasks().filter(matches).collect();
        tasks.sort_by_key(|task| self.sort_key_of(task, query.order));
        tasks.retain(|task| after.as_ref() < Some(&self.sort_key_of(task, query.order)));
        let mut page = Page::new(query.limit);
        for task in tasks {
            if page.is_full() {
                break;
            }
            let task = Task {
                failed_devices: Vec::new(),
                ..self.view(task)
            };
            let bytes = task_bytes(&task);
            page.push(task, bytes);
        }
        let (tasks, next) = page.finish(|last| self.key(last).encode(query.order));
        Ok(TaskPage { tasks, next })
    }

    pub(super) fn list_history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<HistoryPage, Error> {
        let after = cursor.map(EventKey::decode).transpose()?;
        let after = after.map(|key| (key.occurred_at_ms.cast_unsigned(), key.rank, key.digest));
        let mut page = Page::new(limit);
        let task = self.task_state(app_id, task_id);
        let start = after.map_or(Unbounded, Excluded);
        for (_, &index) in task
            .iter()
            .flat_map(|task| task.events.range((start.clone(), Unbounded)))
        {
            if page.is_full() {
                break;
            }
            self.push_event(&mut page, index);
        }
        let (events, next) = page.finish(|last| key(&last.event).encode());
        let first = events.first().map(|first| place(&first.event));
        let previous = task.zip(first);
        let previous = previous.and_then(|(task, first)| task.events.range(..first).next_back());
        Ok(HistoryPage {
            events,
            previous_status: previous.map(|(_, &index)| self.event(index).event.status.clone()),
            next,
        })
    }

    pub(super) fn events_after(&self, after: u64, limit: u32) -> Vec<StoredEvent> {
        let mut page = Page::new(limit);
        let start = usize::try_from(after).unwrap_or(usize::MAX);
        for index in start..self.events.len() {
            if page.is_full() {
                break;
            }
            // Pruned events are `None`.
            if self.events[index].is_some() {
                self.push_event(&mut page, index);
            }
        }
        page.finish(|_| String::new()).0
    }

    pub(super) fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let before = cursor.map(cursor::decode_seq).transpose()?;
        let before = before.map_or(u64::MAX, i64::cast_unsigned);
        let mut page = Page::new(limit);
        let rejects = self.quarantine.rejects.iter().rev();
        for kept in rejects.filter(|kept| kept.seq < before) {
            if page.is_full() {
                break;
            }
            page.push(kept.clone(), reject_bytes(&kept.reject));
        }
        let (rejects, next) = page.finish(|last| cursor::encode_seq(last.seq.cast_signed()));
        Ok(QuarantinePage {
            rejects,
            dropped: self.quarantine.dropped,
            next,
        })
    }

    pub(super) fn summarize(&self, stale_before_ms: u64) -> Summary {
        let mut counts = StatusCounts::default();
        let mut stale = 0;
        let mut tasks: Vec<_> = self.present_tasks().collect();
        tasks.sort_by_key(|task| (self.state(task).rank, &self.state(task).status));
        for task in tasks {
            let state = self.state(task);
            counts.add(state.rank, &state.status, 1);
            let is_open = ranks(Class::Open).contains(&state.rank);
            stale += u64::from(is_open && task.last_received_at_ms < stale_before_ms);
        }
        Summary {
            statuses: counts.finish(),
            last_received_at_ms: self.last_received_at_ms,
            stale: Some(stale),
            notices: Vec::new(),
        }
    }

    fn task_state(&self, app_id: &str, task_id: &str) -> Option<&TaskState> {
        let index = self.by_ids.get(&(app_id.to_owned(), task_id.to_owned()))?;
        self.tasks.get(*index)
    }

    /// Returns the tasks that were not pruned.
    fn present_tasks(&self) -> impl Iterator<Item = &TaskState> {
        self.tasks.iter().filter(|task| !task.events.is_empty())
    }

    /// Returns an event of a task that was not pruned.
    fn event(&self, index: usize) -> &EventState {
        self.events[index].as_ref().expect("it was not pruned")
    }

    /// Returns the greatest event of a task, which is the task's state.
    fn state(&self, task: &TaskState) -> &Event {
        let (_, &last) = task.events.last_key_value().expect("a task has an event");
        &self.event(last).event
    }

    fn events_of(&self, task: &TaskState) -> impl DoubleEndedIterator<Item = &EventState> {
        task.events.values().map(|&index| self.event(index))
    }

    fn key(&self, task: &Task) -> TaskKey {
        let ids = (task.app_id.clone(), task.task_id.clone());
        TaskKey {
            occurred_at_ms: task.occurred_at_ms.cast_signed(),
            id: self.by_ids[&ids] as i64,
        }
    }

    /// Returns the sort key of a task: its last change, then its ids.
    fn sort_key_of<'a>(&self, task: &'a TaskState, order: TaskOrder) -> SortKey<'a> {
        sort_key(self.state(task).occurred_at_ms.cast_signed(), task, order)
    }

    /// Returns the sort key that a task had when its cursor was made.
    fn sort_key(&self, key: &TaskKey, order: TaskOrder) -> Option<SortKey<'_>> {
        let task = self.tasks.get(usize::try_from(key.id).ok()?)?;
        Some(sort_key(key.occurred_at_ms, task, order))
    }

    fn view(&self, task: &TaskState) -> Task {
        let (last, first) = (self.state(task), task.events.keys().next());
        let flags = |all: EventFlags, state: &EventState| all | state.event.flags;
        let request_ids: BTreeSet<_> = self
            .events_of(task)
            .flat_map(|state| &state.request_ids)
            .collect();
        let mut view = Task {
            app_id: last.app_id.clone(),
            task_id: last.task_id.clone(),
            task_type: last.task_type.clone(),
            status: last.status.clone(),
            status_desc: last.status_desc.clone(),
            occurred_at_ms: last.occurred_at_ms,
            rank: last.rank,
            first_occurred_at_ms: first.map_or(last.occurred_at_ms, |(at_ms, ..)| *at_ms),
            last_received_at_ms: task.last_received_at_ms,
            events: task.events.len() as u64,
            duplicates: task.duplicates,
            flags: self.events_of(task).fold(EventFlags::empty(), flags),
            name: None,
            policy: None,
            progress: None,
            failed_devices: Vec::new(),
            request_ids: request_ids
                .into_iter()
                .take(REQUEST_IDS_MAX)
                .cloned()
                .collect(),
            trail: self.trail(task),
        };
        if let Some(details) = &task.details {
            details.describe(&mut view);
        }
        view
    }

    fn trail(&self, task: &TaskState) -> Vec<Step> {
        let (mut steps, mut bytes) = (Vec::new(), 0);
        for state in self.events_of(task).rev().take(TRAIL_STEPS_MAX) {
            if bytes >= TRAIL_BYTES_MAX {
                break;
            }
            bytes += state.event.status.len();
            steps.push(Step {
                status: state.event.status.clone(),
                occurred_at_ms: state.event.occurred_at_ms,
            });
        }
        steps.reverse();
        steps
    }

    fn push_event(&self, page: &mut Page<StoredEvent>, index: usize) {
        let state = self.event(index);
        let stored = StoredEvent {
            event: state.event.clone(),
            seq: index as u64 + 1,
            duplicates: state.duplicates,
            request_ids: state
                .request_ids
                .iter()
                .take(REQUEST_IDS_MAX)
                .cloned()
                .collect(),
            late: state.late,
        };
        page.push(stored, event_bytes(&state.event));
    }
}

/// The sort key of a list. The first time sorts oldest first, the second newest
/// first; the unused one is 0.
type SortKey<'a> = (i64, Reverse<i64>, &'a str, &'a str);

fn sort_key(occurred_at_ms: i64, task: &TaskState, order: TaskOrder) -> SortKey<'_> {
    let (oldest, newest) = match order {
        TaskOrder::Oldest => (occurred_at_ms, 0),
        TaskOrder::Newest => (0, occurred_at_ms),
    };
    (oldest, Reverse(newest), &task.app_id, &task.task_id)
}

fn key(event: &Event) -> EventKey {
    EventKey {
        occurred_at_ms: event.occurred_at_ms.cast_signed(),
        rank: event.rank,
        digest: event.digest.clone(),
    }
}

/// Returns whether a task with this state matches the query.
fn matches(state: &Event, query: &TaskQuery, text: Option<&SearchText>) -> bool {
    let equals = |wanted: &Option<String>, found: &String| {
        wanted.as_ref().is_none_or(|wanted| wanted == found)
    };
    let contains = |text: &SearchText| {
        let fields = [
            &state.task_id,
            &state.app_id,
            &state.task_type,
            &state.status_desc,
        ];
        fields.into_iter().any(|field| text.is_in(field))
    };
    let at_ms = state.occurred_at_ms;
    equals(&query.status, &state.status)
        && equals(&query.task_type, &state.task_type)
        && equals(&query.app_id, &state.app_id)
        && query
            .class
            .is_none_or(|class| ranks(class).contains(&state.rank))
        && query.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
        && query.until_ms.is_none_or(|until_ms| at_ms < until_ms)
        && text.is_none_or(contains)
}
