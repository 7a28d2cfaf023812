//! The reads of the journal in memory.

use std::cmp::Ordering::{self, Greater, Less};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use batchtask_guest::journal::{REQUEST_IDS_MAX, TRAIL_STEPS_MAX, ranks, step_flags};

use super::state::{EventState, State, TaskState, place};
use crate::activity::ActivityRange;
use crate::cursor::{self, EventKey, SortValue, TaskKey};
use crate::list::{TaskRows, id_prefix, status_prefix};
use crate::page::{Page, event_bytes, reject_bytes};
use crate::search::SearchText;
use crate::{
    Activity, ActivityQuery, Class, Error, Event, EventFlags, HistoryPage, QuarantinePage,
    Quarantined, StatusCounts, Step, StepFlags, StoredEvent, Summary, TRAIL_BYTES_MAX, Task,
    TaskOrder, TaskPage, TaskQuery, TaskSort,
};

impl State {
    pub(super) fn find_task(&self, app_id: &str, task_id: &str) -> Option<Task> {
        self.task_state(app_id, task_id).map(|task| self.view(task))
    }

    pub(super) fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let text = SearchText::of(query)?;
        let mut rows = TaskRows::new(query)?;
        let matches = |task: &&TaskState| self.matches(task, query, text.as_ref());
        let matching = self.present_tasks().filter(matches);
        let mut places: Vec<_> = matching.map(|task| self.place(task, query)).collect();
        let count = query.count.then_some(places.len() as u64);
        places.sort_by(|one, other| one.compare(other, query));
        if let Some(after) = rows.after().and_then(|key| self.place_of(key)) {
            let side = if rows.is_backward() { Less } else { Greater };
            places.retain(|place| place.compare(&after, query) == side);
        }
        if rows.is_backward() {
            places.reverse();
        }
        for place in places {
            if rows.is_full() {
                break;
            }
            let task = Task {
                failed_devices: Vec::new(),
                ..self.view(place.task)
            };
            rows.push(task, place.key());
        }
        Ok(rows.finish(count))
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

    pub(super) fn find_reject(&self, seq: u64) -> Option<Quarantined> {
        let mut rejects = self.quarantine.rejects.iter();
        rejects.find(|kept| kept.seq == seq).cloned()
    }

    pub(super) fn list_activity(&self, query: &ActivityQuery) -> Vec<Activity> {
        let range = ActivityRange::of(query);
        let spans = self.activity.iter();
        let kept = spans.filter(|(span_ms, start_ms, _)| {
            *span_ms == range.kept_ms && (range.since_ms..range.until_ms).contains(start_ms)
        });
        range.sum(kept.map(|(_, start_ms, counts)| Activity {
            start_ms,
            notifications: counts.notifications,
            failures: counts.failures,
        }))
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
            sinks: None,
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

    fn steps(&self, task: &TaskState) -> StepFlags {
        let statuses = self.events_of(task).rev();
        step_flags(statuses.map(|state| state.event.status.as_str()))
    }

    /// Returns the place of a task in a list.
    fn place<'a>(&'a self, task: &'a TaskState, query: &TaskQuery) -> TaskPlace<'a> {
        let (state, first) = (self.state(task), task.events.keys().next());
        let value = match query.sort {
            TaskSort::Changed => SortValue::Time(state.occurred_at_ms.cast_signed()),
            TaskSort::FirstSeen => {
                SortValue::Time(first.map_or(0, |(at_ms, ..)| at_ms.cast_signed()))
            }
            TaskSort::Status => SortValue::Status(state.rank, status_prefix(&state.status)),
            TaskSort::Application => SortValue::Id(id_prefix(&task.app_id)),
            TaskSort::Task => SortValue::Id(id_prefix(&task.task_id)),
        };
        let ids = (task.app_id.clone(), task.task_id.clone());
        let id = self.by_ids[&ids] as i64;
        TaskPlace { task, value, id }
    }

    /// Returns the place that a task had when its cursor was made.
    fn place_of(&self, key: &TaskKey) -> Option<TaskPlace<'_>> {
        let task = self.tasks.get(usize::try_from(key.id).ok()?)?;
        let TaskKey { value, id } = key.clone();
        Some(TaskPlace { task, value, id })
    }

    /// Returns whether a task matches the query.
    fn matches(&self, task: &TaskState, query: &TaskQuery, text: Option<&SearchText>) -> bool {
        let has_flag = || {
            let flags = self.events_of(task).map(|state| state.event.flags);
            let flags = flags.fold(EventFlags::empty(), |all, flags| all | flags);
            flags & query.flags != EventFlags::empty()
                || self.steps(task) & query.steps != StepFlags::empty()
        };
        let stale = |before_ms| {
            let is_open = ranks(Class::Open).contains(&self.state(task).rank);
            is_open && task.last_received_at_ms < before_ms
        };
        matches(self.state(task), query, text)
            && (!query.has_flags() || has_flag())
            && query.stale_before_ms.is_none_or(stale)
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
            steps: self.steps(task),
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

/// The place of a task in a list.
struct TaskPlace<'a> {
    task: &'a TaskState,
    value: SortValue,
    id: i64,
}

impl TaskPlace<'_> {
    fn key(&self) -> TaskKey {
        TaskKey {
            value: self.value.clone(),
            id: self.id,
        }
    }

    /// Compares two places in the order of the list.
    fn compare(&self, other: &Self, query: &TaskQuery) -> Ordering {
        let ids = |place: &Self| (place.task.app_id.clone(), place.task.task_id.clone());
        let by_value = self.value.cmp(&other.value);
        let by_id = self.id.cmp(&other.id);
        match (query.sort, query.order) {
            (TaskSort::Changed, TaskOrder::Ascending) => by_value.then(ids(self).cmp(&ids(other))),
            (TaskSort::Changed, TaskOrder::Descending) => {
                by_value.reverse().then(ids(self).cmp(&ids(other)))
            }
            (_, TaskOrder::Ascending) => by_value.then(by_id),
            (_, TaskOrder::Descending) => by_value.then(by_id).reverse(),
        }
    }
}

fn key(event: &Event) -> EventKey {
    EventKey {
        occurred_at_ms: event.occurred_at_ms.cast_signed(),
        rank: event.rank,
        digest: event.digest.clone(),
    }
}

/// Returns whether a task with this state matches the parts of the query that are
/// about its state.
fn matches(state: &Event, query: &TaskQuery, text: Option<&SearchText>) -> bool {
    let is_listed =
        |wanted: &Vec<String>, found: &String| wanted.is_empty() || wanted.contains(found);
    let is_class = |class: &Class| ranks(*class).contains(&state.rank);
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
    is_listed(&query.statuses, &state.status)
        && is_listed(&query.task_types, &state.task_type)
        && is_listed(&query.app_ids, &state.app_id)
        && (query.classes.is_empty() || query.classes.iter().any(is_class))
        && query.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
        && query.until_ms.is_none_or(|until_ms| at_ms < until_ms)
        && text.is_none_or(contains)
}
