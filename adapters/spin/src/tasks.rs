//! Reads tasks.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Class, Error, Event, EventFlags, PAGE_BYTES_MAX, REQUEST_ID_BYTES_MAX, REQUEST_IDS_MAX, Step,
    TRAIL_STEPS_MAX, Task, TaskOrder, TaskPage, TaskQuery, TaskSort, ranks, step_flags,
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

    /// Returns a page of tasks. Only values contain flags, arrivals and ids, so
    /// these neither filter nor sort, and the tasks are not counted.
    pub fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        check_support(query)?;
        let from = query.cursor.as_deref();
        let from = from
            .map(|cursor| place_of(cursor, query.order))
            .transpose()?;
        let is_backward = from.is_some_and(|(_, is_backward)| is_backward);
        let is_ascending = (query.order == TaskOrder::Ascending) != is_backward;
        let keys = self.scan(&[EVENT, REPEAT])?;
        let mut places = Vec::new();
        for timeline in keys.timelines() {
            if keys_match(&timeline, query) {
                let last = &timeline.last;
                places.push(key::place(last.occurred_at_ms, last.task));
            }
        }
        let mut places = sorted(places);
        if !is_ascending {
            places.reverse();
        }
        if let Some((after, _)) = from {
            places.retain(|place| {
                let place = place.as_str();
                if is_ascending {
                    place > after
                } else {
                    place < after
                }
            });
        }
        let read = self.read_tasks(query, &keys, &places)?;
        Ok(read.page(query.order, from.is_some(), is_backward))
    }

    /// Reads the tasks at these places, as many as fit on a page.
    fn read_tasks<'a>(
        &self,
        query: &TaskQuery,
        keys: &Keys,
        places: &'a [String],
    ) -> Result<Read<'a>, Error> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let (mut tasks, mut bytes) = (Vec::new(), 0_usize);
        let mut last: Option<&String> = None;
        for place in places.iter().take(MAX_TASKS_READ) {
            if tasks.len() >= limit || bytes >= PAGE_BYTES_MAX {
                break;
            }
            last = Some(place);
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
        Ok(Read {
            tasks,
            first: places.first(),
            last,
            has_more: last != places.last(),
        })
    }
}

/// The tasks that were read for a page, in the direction of reading.
struct Read<'a> {
    tasks: Vec<Task>,
    /// The places at which reading began and ended.
    first: Option<&'a String>,
    last: Option<&'a String>,
    has_more: bool,
}

impl Read<'_> {
    fn page(self, order: TaskOrder, has_cursor: bool, is_backward: bool) -> TaskPage {
        let cursor = |place: Option<&String>, is_backward| {
            place.map(|place| cursor_at(place, order, is_backward))
        };
        let onward = cursor(self.last.filter(|_| self.has_more), is_backward);
        let back = cursor(self.first.filter(|_| has_cursor), !is_backward);
        let mut tasks = self.tasks;
        let (previous, next) = if is_backward {
            tasks.reverse();
            (onward, back)
        } else {
            (back, onward)
        };
        TaskPage {
            tasks,
            previous,
            next,
            count: None,
        }
    }
}

/// Refuses the queries that would need the value of every task.
fn check_support(query: &TaskQuery) -> Result<(), Error> {
    let text = if query.sort != TaskSort::Changed {
        "a key-value store sorts tasks only by their last change"
    } else if query.has_flags() {
        "a key-value store does not filter by flag"
    } else if query.stale_before_ms.is_some() {
        "a key-value store does not know which tasks are stale"
    } else {
        return Ok(());
    };
    Err(Error::Unsupported(text.into()))
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
        steps: step_flags(statuses(timeline, &trail_steps)),
        trail: trail_steps,
    })
}

/// Returns the statuses of the last events, the last one first: those of the trail,
/// and the one before it if it is known.
fn statuses<'a>(timeline: &Timeline<'a>, trail: &'a [Step]) -> impl Iterator<Item = &'a str> {
    let before = timeline
        .events
        .len()
        .checked_sub(trail.len().saturating_add(1));
    let before = before.and_then(|index| timeline.events.get(index));
    // The step from an undocumented status is usual, whatever the status is.
    let before = before.map(|entry| entry.event.status.unwrap_or_default());
    let trail = trail.iter().rev().map(|step| step.status.as_str());
    trail.chain(before)
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
    let status_matches = last
        .status
        .is_none_or(|status| lists(&query.statuses, status));
    let is_class = |class: &Class| ranks(*class).contains(&last.rank);
    status_matches
        && (query.classes.is_empty() || query.classes.iter().any(is_class))
        && query
            .since_ms
            .is_none_or(|since| last.occurred_at_ms >= since)
        && query
            .until_ms
            .is_none_or(|until| last.occurred_at_ms < until)
}

/// Whether a task matches a query, according to its values.
fn values_match(task: &Task, query: &TaskQuery) -> bool {
    lists(&query.statuses, &task.status)
        && lists(&query.task_types, &task.task_type)
        && lists(&query.app_ids, &task.app_id)
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

/// Whether a list of wanted values is empty or has this value.
fn lists(wanted: &[String], found: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == found)
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

/// Returns the first letters of a cursor.
fn kind(order: TaskOrder, is_backward: bool) -> &'static str {
    match (order, is_backward) {
        (TaskOrder::Descending, false) => "n",
        (TaskOrder::Ascending, false) => "o",
        (TaskOrder::Descending, true) => "pn",
        (TaskOrder::Ascending, true) => "po",
    }
}

/// Returns the cursor of a page that begins after a place in the direction of
/// reading.
fn cursor_at(place: &str, order: TaskOrder, is_backward: bool) -> String {
    let mut cursor = String::from(kind(order, is_backward));
    cursor.push_str(place);
    cursor
}

/// Returns the place in a cursor that [`cursor_at`] made for this order, and whether
/// it is read backward. A cursor for the other order is an error.
fn place_of(cursor: &str, order: TaskOrder) -> Result<(&str, bool), Error> {
    let place = |is_backward| {
        let place = cursor.strip_prefix(kind(order, is_backward));
        let place = place.filter(|place| key::task_at(place).is_some());
        place.map(|place| (place, is_backward))
    };
    let found = place(false).or_else(|| place(true));
    found.ok_or_else(|| Error::InvalidCursor("the cursor belongs to another list".into()))
}
