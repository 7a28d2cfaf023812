//! Reads tasks.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Error, Event, EventFlags, PAGE_BYTES_MAX, REQUEST_ID_BYTES_MAX, REQUEST_IDS_MAX, Step,
    TRAIL_STEPS_MAX, Task, TaskOrder, TaskPage, TaskQuery, ranks,
};

use crate::bucket::Bucket;
use crate::journal::{Journal, Values, damaged, sorted};
use crate::key::{self, EVENT, REPEAT};
use crate::limits::MAX_TASKS_READ;
use crate::timeline::{Keys, Timeline};

impl<B: Bucket> Journal<B> {
    /// Returns one task, or `None` if the bucket has no event of it.
    pub fn find_task(&self, app_id: &str, task_id: &str) -> Result<Option<Task>, Error> {
        let task = key::task(app_id, task_id);
        let keys = self.scan_task(&task)?;
        let Some(timeline) = keys.timeline(&task) else {
            return Ok(None);
        };
        let repeats = keys.repeats(&task);
        let trail = timeline.tail(TRAIL_STEPS_MAX).iter();
        let mut keys_to_read: Vec<&String> = trail.map(|entry| entry.key).collect();
        keys_to_read.extend(repeats.iter().take(REQUEST_IDS_MAX));
        let values = self.values(keys_to_read)?;
        task_of(&timeline, repeats, &values).map(Some)
    }

    /// Returns all keys of one task.
    pub(crate) fn scan_task(&self, task: &str) -> Result<Keys, Error> {
        self.scan(&[
            &key::task_prefix(EVENT, task),
            &key::task_prefix(REPEAT, task),
        ])
    }

    /// Returns a page of tasks.
    pub fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        let after = query.cursor.as_deref();
        let after = after
            .map(|cursor| place_of(cursor, query.order))
            .transpose()?;
        let keys = self.scan(&[EVENT, REPEAT])?;
        let mut places = Vec::new();
        for timeline in keys.timelines() {
            if keys_match(&timeline, query) {
                let last = &timeline.last;
                places.push(key::place(last.occurred_at_ms, last.task));
            }
        }
        let mut places = sorted(places);
        if query.order == TaskOrder::Newest {
            places.reverse();
        }
        if let Some(after) = after {
            places.retain(|place| match query.order {
                TaskOrder::Newest => place.as_str() < after,
                TaskOrder::Oldest => place.as_str() > after,
            });
        }
        self.page(query, &keys, &places)
    }

    /// Reads the tasks at these places, as many as fit on a page.
    fn page(&self, query: &TaskQuery, keys: &Keys, places: &[String]) -> Result<TaskPage, Error> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let (mut tasks, mut bytes) = (Vec::new(), 0_usize);
        let mut previous: Option<&String> = None;
        for place in places.iter().take(MAX_TASKS_READ) {
            if tasks.len() >= limit || bytes >= PAGE_BYTES_MAX {
                break;
            }
            previous = Some(place);
            let Some(timeline) = key::task_at(place).and_then(|task| keys.timeline(task)) else {
                continue;
            };
            let values = self.values(needed(&timeline))?;
            let task = task_of(&timeline, keys.repeats(timeline.last.task), &values)?;
            if values_match(&task, query) {
                bytes = bytes.saturating_add(task_bytes(&task));
                tasks.push(task);
            }
        }
        let is_end = previous == places.last();
        let next = previous.filter(|_| !is_end);
        Ok(TaskPage {
            tasks,
            next: next.map(|place| cursor_at(place, query.order)),
        })
    }
}

/// Returns the keys whose values are needed for a task in a list: its greatest
/// event, and the events whose status is not in the key.
fn needed<'a>(timeline: &Timeline<'a>) -> Vec<&'a String> {
    let mut keys = Vec::new();
    for (place, entry) in timeline.tail(TRAIL_STEPS_MAX).iter().rev().enumerate() {
        if place == 0 || entry.event.status.is_none() {
            keys.push(entry.key);
        }
    }
    keys
}

/// Returns a task, made from its keys and the values that were read.
fn task_of(
    timeline: &Timeline<'_>,
    repeats: &[String],
    values: &Values<'_>,
) -> Result<Task, Error> {
    let trail = timeline.tail(TRAIL_STEPS_MAX);
    let mut trail_steps = Vec::new();
    let mut flags = EventFlags::empty();
    let mut last_received_at_ms = 0;
    let mut request_ids: Vec<String> = repeated_ids(repeats, values);
    let mut newest: Option<Event> = None;
    for entry in trail {
        let event = values.event(entry.key);
        let status = match (entry.event.status, &event) {
            (Some(status), _) => status.into(),
            (None, Some(event)) => event.status.clone(),
            (None, None) => return Err(damaged(entry.key)),
        };
        trail_steps.push(Step {
            status,
            occurred_at_ms: entry.event.occurred_at_ms,
        });
        if let Some(event) = &event {
            flags = flags | event.flags;
            last_received_at_ms = last_received_at_ms.max(event.received_at_ms);
            request_ids.extend(event.request_id.clone());
        }
        newest = event;
    }
    let first = timeline.events.first().map(|entry| entry.event);
    let last_key = trail.last().map(|entry| entry.key.as_str());
    let newest = newest.ok_or_else(|| damaged(last_key.unwrap_or_default()))?;
    Ok(Task {
        app_id: newest.app_id,
        task_id: newest.task_id,
        task_type: newest.task_type,
        status: newest.status,
        status_desc: newest.status_desc,
        occurred_at_ms: newest.occurred_at_ms,
        rank: newest.rank,
        first_occurred_at_ms: first.map_or(0, |event| event.occurred_at_ms),
        last_received_at_ms,
        events: u64::try_from(timeline.events.len()).unwrap_or(u64::MAX),
        duplicates: u64::try_from(repeats.len()).unwrap_or(u64::MAX),
        flags,
        name: None,
        policy: None,
        progress: None,
        failed_devices: Vec::new(),
        request_ids: listed(request_ids),
        trail: trail_steps,
    })
}

/// Returns the request ids of those repetitions that were read.
pub(crate) fn repeated_ids(repeats: &[String], values: &Values<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    for key in repeats {
        if let Some(Ok(id)) = values.get(key).map(core::str::from_utf8) {
            ids.push(id.into());
        }
    }
    ids
}

/// Returns the request ids to list: sorted, without repetitions, and at most
/// [`REQUEST_IDS_MAX`].
pub(crate) fn listed(mut request_ids: Vec<String>) -> Vec<String> {
    request_ids.retain(|id| (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()));
    request_ids = sorted(request_ids);
    request_ids.dedup();
    request_ids.truncate(REQUEST_IDS_MAX);
    request_ids
}

/// Whether a task may match a query, according to its keys.
fn keys_match(timeline: &Timeline<'_>, query: &TaskQuery) -> bool {
    let last = &timeline.last;
    let status_matches = match (&query.status, last.status) {
        (Some(wanted), Some(status)) => wanted == status,
        _ => true,
    };
    status_matches
        && query
            .class
            .is_none_or(|class| ranks(class).contains(&last.rank))
        && query
            .since_ms
            .is_none_or(|since| last.occurred_at_ms >= since)
        && query
            .until_ms
            .is_none_or(|until| last.occurred_at_ms < until)
}

/// Whether a task matches a query, according to its values.
fn values_match(task: &Task, query: &TaskQuery) -> bool {
    let matches =
        |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    matches(&query.status, &task.status)
        && matches(&query.task_type, &task.task_type)
        && matches(&query.app_id, &task.app_id)
        && query.text.as_ref().is_none_or(|text| {
            [
                &task.task_id,
                &task.app_id,
                &task.task_type,
                &task.status_desc,
            ]
            .into_iter()
            .any(|field| contains(field, text))
        })
}

/// Whether a field contains a text. Upper and lower case of ASCII letters match.
fn contains(field: &str, text: &str) -> bool {
    let length = text.len();
    length == 0
        || (field.as_bytes().windows(length)).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
}

/// Returns about how many bytes a task takes on a page.
fn task_bytes(task: &Task) -> usize {
    /// The length of member names, numbers and the trail.
    const OVERHEAD_BYTES: usize = 512;
    let texts = [
        &task.app_id,
        &task.task_id,
        &task.task_type,
        &task.status,
        &task.status_desc,
    ];
    texts
        .into_iter()
        .chain(&task.request_ids)
        .fold(OVERHEAD_BYTES, |sum, text| sum.saturating_add(text.len()))
}

const NEWEST: char = 'n';
const OLDEST: char = 'o';

/// Returns the cursor of a page that ends at a place.
fn cursor_at(place: &str, order: TaskOrder) -> String {
    let mut cursor = String::from(match order {
        TaskOrder::Newest => NEWEST,
        TaskOrder::Oldest => OLDEST,
    });
    cursor.push_str(place);
    cursor
}

/// Returns the place in a cursor that [`cursor_at`] made for this order. A cursor
/// for the other order is an error.
fn place_of(cursor: &str, order: TaskOrder) -> Result<&str, Error> {
    let place = match order {
        TaskOrder::Newest => cursor.strip_prefix(NEWEST),
        TaskOrder::Oldest => cursor.strip_prefix(OLDEST),
    };
    place
        .filter(|place| key::task_at(place).is_some())
        .ok_or_else(|| Error::InvalidCursor("the cursor belongs to another list".into()))
}
