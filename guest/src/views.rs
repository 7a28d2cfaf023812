//! The JSON of the answers.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batchtask_notification::{Class, Flags, Status, Step, step, time};
use serde::Serialize;

use crate::journal::{Event, EventFlags, HistoryPage, Quarantined, Reject, StoredEvent, Task};
use crate::outcomes::Success;

/// The answer to a notification that was taken.
#[derive(Serialize)]
pub struct Receipt<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl<'a> Receipt<'a> {
    /// For an event.
    pub fn of(success: Success, event: &'a Event) -> Self {
        Self {
            outcome: success.label(),
            app_id: Some(&event.app_id),
            task_id: Some(&event.task_id),
            flags: oddities(event.oddities).collect(),
            reason: None,
            detail: None,
        }
    }

    /// For what went into the quarantine.
    pub fn quarantined(reject: &'a Reject) -> Self {
        Self {
            outcome: Success::Quarantined.label(),
            app_id: None,
            task_id: None,
            flags: Vec::new(),
            reason: Some(&reject.reason),
            detail: Some(&reject.detail),
        }
    }
}

/// The state of a task.
#[derive(Serialize)]
pub struct TaskView<'a> {
    app_id: &'a str,
    task_id: &'a str,
    task_type: &'a str,
    status: &'a str,
    status_desc: &'a str,
    class: &'static str,
    occurred_at: String,
    first_occurred_at: String,
    last_received_at: String,
    events: u64,
    duplicates: u64,
    flags: Vec<&'static str>,
    request_ids: &'a [String],
}

impl<'a> From<&'a Task> for TaskView<'a> {
    fn from(task: &'a Task) -> Self {
        Self {
            app_id: &task.app_id,
            task_id: &task.task_id,
            task_type: &task.task_type,
            status: &task.status,
            status_desc: &task.status_desc,
            class: Class::of_rank(task.rank).name(),
            occurred_at: instant(task.occurred_at_ms),
            first_occurred_at: instant(task.first_occurred_at_ms),
            last_received_at: instant(task.last_received_at_ms),
            events: task.events,
            duplicates: task.duplicates,
            flags: task_flags(task),
            request_ids: &task.request_ids,
        }
    }
}

/// A page of tasks.
#[derive(Serialize)]
pub struct TasksView<'a> {
    /// The tasks.
    pub tasks: Vec<TaskView<'a>>,
    /// Where the next page begins.
    pub next: Option<&'a str>,
}

/// An event in the history of its task, or in the feed.
#[derive(Serialize)]
pub struct EventView<'a> {
    app_id: &'a str,
    task_id: &'a str,
    task_type: &'a str,
    status: &'a str,
    status_desc: &'a str,
    event_time: Option<&'a str>,
    event_time_ms: Option<&'a str>,
    occurred_at: String,
    received_at: String,
    seq: u64,
    digest: String,
    signature: Option<&'a str>,
    duplicates: u64,
    flags: Vec<&'static str>,
    request_ids: &'a [String],
    body: Cow<'a, str>,
}

impl<'a> EventView<'a> {
    /// An event outside the history of its task: what it means there is not
    /// known here.
    pub fn alone(stored: &'a StoredEvent) -> Self {
        let event = &stored.event;
        let late = stored.late.then_some("late");
        Self {
            app_id: &event.app_id,
            task_id: &event.task_id,
            task_type: &event.task_type,
            status: &event.status,
            status_desc: &event.status_desc,
            event_time: event.event_time.as_deref(),
            event_time_ms: event.event_time_ms.as_deref(),
            occurred_at: instant(event.occurred_at_ms),
            received_at: instant(event.received_at_ms),
            seq: stored.seq,
            digest: hex(&event.digest),
            signature: event.signature.as_deref(),
            duplicates: stored.duplicates,
            flags: late.into_iter().chain(oddities(event.oddities)).collect(),
            request_ids: &stored.request_ids,
            body: String::from_utf8_lossy(&event.body),
        }
    }
}

/// A page of a task's events, each with what the one before makes of it.
#[derive(Serialize)]
pub struct HistoryView<'a> {
    events: Vec<EventView<'a>>,
    next: Option<&'a str>,
}

impl<'a> From<&'a HistoryPage> for HistoryView<'a> {
    fn from(page: &'a HistoryPage) -> Self {
        let mut previous = page.previous_status.as_deref().map(Status::of);
        let event = |stored: &'a StoredEvent| {
            let next = Status::of(&stored.event.status);
            let mut view = EventView::alone(stored);
            view.flags.extend(step(previous, next).name());
            previous = Some(next);
            view
        };
        Self {
            events: page.events.iter().map(event).collect(),
            next: page.next.as_deref(),
        }
    }
}

/// Some events in order of arrival.
#[derive(Serialize)]
pub struct FeedView<'a> {
    /// The events.
    pub events: Vec<EventView<'a>>,
    /// What to ask for next: `after` this.
    pub last_seq: u64,
}

/// What could not be understood.
#[derive(Serialize)]
pub struct RejectView<'a> {
    seq: u64,
    received_at: String,
    reason: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'a> From<&'a Quarantined> for RejectView<'a> {
    fn from(quarantined: &'a Quarantined) -> Self {
        let reject = &quarantined.reject;
        let text = core::str::from_utf8(&reject.body).ok();
        Self {
            seq: quarantined.seq,
            received_at: instant(reject.received_at_ms),
            reason: &reject.reason,
            detail: &reject.detail,
            pointer: reject.pointer.as_deref(),
            bytes: reject.body.len(),
            body: text,
            body_base64: text.is_none().then(|| STANDARD.encode(&reject.body)),
        }
    }
}

/// A page of the quarantine.
#[derive(Serialize)]
pub struct QuarantineView<'a> {
    /// The rejects.
    pub rejects: Vec<RejectView<'a>>,
    /// How many were dropped so far to stay within bounds.
    pub dropped: u64,
    /// Where the next page begins.
    pub next: Option<&'a str>,
}

/// The flags of a task: what its events had that was odd, and what its steps
/// did. The arrival of an event (`late`) is told with the event: a task is the
/// same in whatever order its events came.
fn task_flags(task: &Task) -> Vec<&'static str> {
    let mut flags: Vec<_> = oddities(task.oddities).collect();
    // A trail that was cut off has no beginning to judge.
    let whole = usize::try_from(task.events).is_ok_and(|events| events == task.trail.len());
    let mut statuses = task.trail.iter().map(|step| Status::of(&step.status));
    let mut previous = match whole {
        true => None,
        false => statuses.next(),
    };
    let steps: Vec<Step> = statuses
        .map(|next| step(previous.replace(next), next))
        .collect();
    for kind in [Step::Gap, Step::Reopened, Step::Unexpected] {
        if steps.contains(&kind) {
            flags.extend(kind.name());
        }
    }
    flags
}

/// The names of an event's flags: the bits are in the same order.
fn oddities(flags: EventFlags) -> impl Iterator<Item = &'static str> {
    Flags::from_bits_truncate(flags.bits().into()).names()
}

/// Milliseconds since 1970 as RFC 3339; past the year 9999, its last instant.
fn instant(at_ms: u64) -> String {
    time::rfc3339(at_ms).unwrap_or_else(|| "9999-12-31T23:59:59.999Z".into())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
