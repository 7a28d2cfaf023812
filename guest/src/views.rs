//! Writes the answers as JSON.

use alloc::vec::Vec;
use batchtask_notification::{Class, Flags, Status, Step, base64, hex, step, time};

use crate::journal::{
    Activity, Event, EventFlags, FailedDevice, HistoryPage, Notice, Policy, Progress,
    QuarantinePage, Quarantined, Reject, StepFlags, StoredEvent, Summary, Task, TaskPage,
    TaskQuery, source_name,
};
use crate::json::Object;

/// Returns the answer to an event without the outcome, and the offset at which
/// to insert it, in bytes.
pub fn receipt(event: &Event) -> (Vec<u8>, u32) {
    receipt_of(|json| {
        json.text("app_id", &event.app_id);
        json.text("task_id", &event.task_id);
        let flags = flag_names(event.flags);
        if !flags.is_empty() {
            json.texts("flags", &flags);
        }
    })
}

/// Returns the same for a reject.
pub fn receipt_of_reject(reject: &Reject) -> (Vec<u8>, u32) {
    receipt_of(|json| {
        json.text("reason", &reject.reason);
        json.text("detail", &reject.detail);
    })
}

fn receipt_of(members: impl FnOnce(&mut Object)) -> (Vec<u8>, u32) {
    /// The length of `{"outcome":"`, in bytes.
    const OUTCOME_AT: u32 = 12;
    let text = Object::text_of(|json| {
        json.text("outcome", "");
        members(json);
    });
    (text, OUTCOME_AT)
}

/// Returns the state of a task. `stale_before_ms` is as in [`is_stale`].
pub fn task(task: &Task, stale_before_ms: u64) -> Vec<u8> {
    Object::text_of(|json| {
        task_members(json, task, stale_before_ms);
        if !task.failed_devices.is_empty() {
            json.objects("failed_devices", &task.failed_devices, device_members);
        }
    })
}

/// A page of a list as JSON, and the number of items that it contains.
pub struct List {
    /// The JSON.
    pub text: Vec<u8>,
    items: usize,
}

impl List {
    /// Returns a list. `members` writes it, and returns its number of items.
    fn of(members: impl FnOnce(&mut Object) -> usize) -> Self {
        let mut items = 0;
        let text = Object::text_of(|json| items = members(json));
        Self { text, items }
    }

    /// Returns the number of items that fit if it is less than `items`. Then ask
    /// the journal again with this limit, so that its cursor to the next page is
    /// right. A journal counts the bytes of items as stored, not as JSON.
    pub fn fitting(&self, items: usize) -> Option<u32> {
        let fitting = u32::try_from(self.items).ok();
        fitting.filter(|_| self.items < items)
    }
}

/// Returns a page of tasks. `stale_before_ms` is as in [`is_stale`].
pub fn tasks(page: &TaskPage, stale_before_ms: u64) -> List {
    List::of(|json| {
        let items = json.objects("tasks", &page.tasks, |json, task| {
            task_members(json, task, stale_before_ms);
        });
        json.text_or_null("previous", page.previous.as_deref());
        json.text_or_null("next", page.next.as_deref());
        match &page.count {
            Some(count) => json.object("count", |json| {
                json.number("tasks", count.tasks);
                json.boolean("more", count.more);
            }),
            None => json.text_or_null("count", None),
        }
        items
    })
}

/// Whether a task is open and its last new event arrived before
/// `stale_before_ms`, in milliseconds since 1970.
pub fn is_stale(task: &Task, stale_before_ms: u64) -> bool {
    Class::of_rank(task.rank) == Class::Open && task.last_received_at_ms < stale_before_ms
}

/// Returns the overview of the journal.
pub fn summary(summary: &Summary) -> Vec<u8> {
    Object::text_of(|json| {
        json.objects("statuses", &summary.statuses, |json, count| {
            json.text("status", &count.status);
            json.text("class", Class::of_rank(count.rank).name());
            json.number("tasks", count.tasks);
        });
        json.number_or_null("stale", summary.stale);
        match summary.last_received_at_ms {
            Some(at_ms) => instant(json, "last_received_at", at_ms),
            None => json.text_or_null("last_received_at", None),
        }
        json.objects("notices", &summary.notices, notice_members);
        match &summary.sinks {
            Some(sinks) => json.object("sinks", |json| {
                json.number("total", sinks.total.into());
                json.number("failing", sinks.failing.into());
            }),
            None => json.text_or_null("sinks", None),
        }
    })
}

fn notice_members(json: &mut Object, notice: &Notice) {
    json.text("name", &notice.name);
    json.text("text", &notice.text);
    instant(json, "since", notice.since_ms);
}

fn task_members(json: &mut Object, task: &Task, stale_before_ms: u64) {
    json.text("app_id", &task.app_id);
    json.text("task_id", &task.task_id);
    json.text("task_type", &task.task_type);
    json.text("status", &task.status);
    json.text("status_desc", &task.status_desc);
    json.text("class", Class::of_rank(task.rank).name());
    json.boolean("stale", is_stale(task, stale_before_ms));
    instant(json, "occurred_at", task.occurred_at_ms);
    instant(json, "first_occurred_at", task.first_occurred_at_ms);
    instant(json, "last_received_at", task.last_received_at_ms);
    json.number("events", task.events);
    json.number("duplicates", task.duplicates);
    json.texts("flags", &task_flags(task));
    json.texts("request_ids", &task.request_ids);
    json.text_or_null("name", task.name.as_deref());
    match &task.policy {
        Some(policy) => json.object("policy", |json| policy_members(json, policy)),
        None => json.text_or_null("policy", None),
    }
    match &task.progress {
        Some(progress) => json.object("progress", |json| progress_members(json, progress)),
        None => json.text_or_null("progress", None),
    }
}

fn policy_members(json: &mut Object, policy: &Policy) {
    json.text_or_null("schedule_time", policy.schedule_time.as_deref());
    json.number_or_null("retry_count", policy.retry_count.map(u64::from));
    json.number_or_null("retry_interval", policy.retry_interval.map(u64::from));
}

fn device_members(json: &mut Object, failed: &FailedDevice) {
    json.text("device", &failed.device);
    json.text_or_null("error_code", failed.error_code.as_deref());
    json.text_or_null("error_msg", failed.error_msg.as_deref());
}

fn progress_members(json: &mut Object, progress: &Progress) {
    for (name, devices) in [
        ("total", progress.total),
        ("processing", progress.processing),
        ("success", progress.success),
        ("fail", progress.fail),
        ("waiting", progress.waiting),
        ("fail_wait_retry", progress.fail_wait_retry),
        ("stopped", progress.stopped),
        ("removed", progress.removed),
    ] {
        json.number(name, devices.into());
    }
    instant(json, "at", progress.at_ms);
}

/// Returns a page of a task's events, each with the step from the previous one.
pub fn history(page: &HistoryPage) -> List {
    List::of(|json| {
        let items = json.objects("events", steps(page), |json, (stored, step)| {
            event_members(json, stored, step);
        });
        json.text_or_null("next", page.next.as_deref());
        items
    })
}

/// Returns the events of a page, each with the flag of the step from the
/// previous event, if the step has one.
pub fn steps(page: &HistoryPage) -> impl Iterator<Item = (&StoredEvent, Option<&'static str>)> {
    let mut previous = page.previous_status.as_deref().map(Status::of);
    page.events.iter().map(move |stored| {
        let next = Status::of(&stored.event.status);
        (stored, step(previous.replace(next), next).name())
    })
}

/// Returns the events that follow the sequence number `after`, in order of
/// arrival. Their steps are unknown, because the previous events of their tasks
/// are not here.
pub fn feed(events: &[StoredEvent], after: u64) -> Vec<u8> {
    Object::text_of(|json| {
        let mut last_seq = after;
        json.objects("events", events, |json, stored| {
            event_members(json, stored, None);
            last_seq = stored.seq;
        });
        json.number("last_seq", last_seq);
    })
}

/// Returns one event, without its step.
pub fn event(stored: &StoredEvent) -> Vec<u8> {
    Object::text_of(|json| event_members(json, stored, None))
}

fn event_members(json: &mut Object, stored: &StoredEvent, step: Option<&'static str>) {
    let event = &stored.event;
    json.text("app_id", &event.app_id);
    json.text("task_id", &event.task_id);
    json.text("task_type", &event.task_type);
    json.text("status", &event.status);
    json.text("status_desc", &event.status_desc);
    json.text_or_null("event_time", event.event_time.as_deref());
    json.text_or_null("event_time_ms", event.event_time_ms.as_deref());
    instant(json, "occurred_at", event.occurred_at_ms);
    instant(json, "received_at", event.received_at_ms);
    json.number("seq", stored.seq);
    json.text("digest", &hex(&event.digest));
    json.text("source", source_name(event.source));
    json.text_or_null("signature", event.signature.as_deref());
    json.number("duplicates", stored.duplicates);
    json.texts("flags", &event_flags(stored, step));
    json.texts("request_ids", &stored.request_ids);
    body(json, &event.body);
}

/// Returns the flags of an event: `late`, its own flags, and the flag of its
/// step.
pub fn event_flags(stored: &StoredEvent, step: Option<&'static str>) -> Vec<&'static str> {
    let mut flags = flag_names(stored.event.flags);
    if stored.late {
        flags.insert(0, "late");
    }
    flags.extend(step);
    flags
}

/// Returns a page of the quarantine.
pub fn quarantine(page: &QuarantinePage) -> List {
    List::of(|json| {
        let items = json.objects("rejects", &page.rejects, reject_members);
        json.number("dropped", page.dropped);
        json.text_or_null("next", page.next.as_deref());
        items
    })
}

/// Returns one reject of the quarantine.
pub fn reject(quarantined: &Quarantined) -> Vec<u8> {
    Object::text_of(|json| reject_members(json, quarantined))
}

/// Returns what arrived from `since_ms` until before `until_ms`, in spans of this
/// many minutes.
pub fn activity(spans: &[Activity], since_ms: u64, until_ms: u64, span_minutes: u32) -> Vec<u8> {
    Object::text_of(|json| {
        instant(json, "since", since_ms);
        instant(json, "until", until_ms);
        json.number("span_minutes", span_minutes.into());
        json.objects("spans", spans, |json, span| {
            instant(json, "start", span.start_ms);
            json.number("notifications", span.notifications);
            json.number("failures", span.failures);
        });
    })
}

fn reject_members(json: &mut Object, quarantined: &Quarantined) {
    let reject = &quarantined.reject;
    json.number("seq", quarantined.seq);
    instant(json, "received_at", reject.received_at_ms);
    json.text("reason", &reject.reason);
    json.text("detail", &reject.detail);
    json.text_if_any("pointer", reject.pointer.as_deref());
    json.number(
        "bytes",
        u64::try_from(reject.body.len()).unwrap_or(u64::MAX),
    );
    body(json, &reject.body);
}

/// Writes a body as received: as `body`, or as `body_base64` if it is not UTF-8.
/// A body is also written as base64 if more than a quarter of it are control
/// characters, because each of them would become six bytes.
fn body(json: &mut Object, bytes: &[u8]) {
    let is_control = |byte: &&u8| matches!(byte, 0..0x20) && !byte.is_ascii_whitespace();
    let controls = bytes.iter().filter(is_control).count();
    match core::str::from_utf8(bytes) {
        Ok(text) if controls <= bytes.len() / 4 => json.text("body", text),
        _ => json.text("body_base64", &base64(bytes)),
    }
}

/// Returns the flags of a task: those of its events and of its steps. `late` is
/// not one of them, because the state of a task does not depend on the order in
/// which its events arrived.
pub fn task_flags(task: &Task) -> Vec<&'static str> {
    let mut flags = flag_names(task.flags);
    for (flag, kind) in step_flags() {
        if task.steps & flag == flag {
            flags.extend(kind.name());
        }
    }
    flags
}

/// Returns the flags of a task's steps, in the order in which they are listed.
fn step_flags() -> [(StepFlags, Step); 3] {
    [
        (StepFlags::GAP, Step::Gap),
        (StepFlags::REOPENED, Step::Reopened),
        (StepFlags::UNEXPECTED_STEP, Step::Unexpected),
    ]
}

/// Adds the flag with this name to the flags of a query. Returns `None` if tasks
/// have no such flag.
pub fn add_flag(query: &mut TaskQuery, name: &str) -> Option<()> {
    let mut steps = step_flags().into_iter();
    if let Some((flag, _)) = steps.find(|(_, kind)| kind.name() == Some(name)) {
        query.steps = query.steps | flag;
        return Some(());
    }
    let flag = Flags::of_name(name)?;
    query.flags = query.flags | EventFlags::from_bits_retain(flag.bits());
    Some(())
}

/// Returns the names of an event's flags. The bits are in the same order.
fn flag_names(flags: EventFlags) -> Vec<&'static str> {
    let flags = Flags::from_bits_truncate(flags.bits());
    flags.names().collect()
}

/// Writes a member that is an instant (RFC 3339).
fn instant(json: &mut Object, name: &str, at_ms: u64) {
    json.text(name, &time::rfc3339(at_ms));
}
