//! The page of a task.

use super::html::Html;
use super::parts::{
    body, decimal, duration, excerpt, instant, next, page, path_of, progress, short, span,
    stale_mark, status, words,
};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{FailedDevice, HistoryPage, Policy, Progress, StoredEvent, Task, source_name};
use crate::views::{event_flags, steps, task_flags};
use alloc::string::String;

/// Returns the page of a task: its state, and when each change happened and
/// arrived.
pub fn task(
    task: &Task,
    history: &HistoryPage,
    query: &str,
    now_ms: u64,
    stale_before_ms: u64,
) -> Response {
    page(&short(&task.task_id), &mut |html| {
        html.markup("<div data-live><p>");
        status(html, &task.status, task.rank);
        stale_mark(html, task, stale_before_ms);
        html.markup("</p>");
        if let Some(progress) = &task.progress {
            devices(html, progress);
        }
        html.markup("<dl>");
        let (begin, retries) = policy_texts(task.policy.as_ref());
        for (name, value) in [
            (
                "Name",
                short(task.name.as_deref().unwrap_or_default()).as_str(),
            ),
            ("Application", &short(&task.app_id)),
            ("Type", &short(&task.task_type)),
            ("Duration", &duration(task, now_ms)),
            ("Events", &decimal(task.events)),
            ("Duplicates", &decimal(task.duplicates)),
            ("Begin", &begin),
            ("Retries", &retries),
            ("Flags", &words(&task_flags(task))),
        ] {
            if !value.is_empty() {
                html.fill("<div><dt>$<dd>$</div>", &[name, value]);
            }
        }
        html.markup("</dl>");
        if !task.failed_devices.is_empty() {
            failures(html, &task.failed_devices);
        }
        html.markup("<h2>History (UTC)</h2><ol>");
        for (stored, step) in steps(history) {
            event(html, stored, step);
        }
        html.markup("</ol>");
        let path = path_of(&task.app_id, &task.task_id);
        next(html, &path, query, history.next.as_deref());
        html.markup("</div>");
    })
}

/// Writes the progress, and how many devices are in which state.
fn devices(html: &mut Html, counts: &Progress) {
    html.markup("<p>");
    progress(html, counts);
    html.markup(" devices done");
    let mut separator = ": ";
    for (devices, state) in [
        (counts.success, "success"),
        (counts.fail, "fail"),
        (counts.processing, "processing"),
        (counts.waiting, "waiting"),
        (counts.fail_wait_retry, "waiting for a retry"),
        (counts.stopped, "stopped"),
        (counts.removed, "removed"),
    ] {
        if devices > 0 {
            html.fill("$$ $", &[separator, &decimal(devices.into()), state]);
            separator = ", ";
        }
    }
    html.markup(" (");
    instant(html, counts.at_ms);
    html.markup(")</p>");
}

/// Returns when a task begins, and how often it is repeated. The texts are empty if
/// that is not known.
fn policy_texts(policy: Option<&Policy>) -> (String, String) {
    let mut retries = String::new();
    let Some(policy) = policy else {
        return (String::new(), retries);
    };
    if let Some(count) = policy.retry_count {
        retries.push_str(&decimal(count.into()));
        if let Some(minutes) = policy.retry_interval {
            retries.push_str(", after ");
            retries.push_str(&decimal(minutes.into()));
            retries.push_str(" min");
        }
    }
    let begin = policy.schedule_time.as_deref().unwrap_or("at once");
    (short(begin), retries)
}

fn failures(html: &mut Html, failed: &[FailedDevice]) {
    html.markup(
        "<h2>Failed devices</h2><table><thead><tr><th>Device<th>Error<th>Message</thead><tbody>",
    );
    for failed in failed {
        let [code, message] = [&failed.error_code, &failed.error_msg];
        html.fill(
            "<tr><td>$<td>$<td>$",
            &[
                &failed.device,
                code.as_deref().unwrap_or_default(),
                message.as_deref().unwrap_or_default(),
            ],
        );
    }
    html.markup("</tbody></table>");
}

fn event(html: &mut Html, stored: &StoredEvent, step: Option<&'static str>) {
    let event = &stored.event;
    html.markup("<li class='e'>");
    instant(html, event.occurred_at_ms);
    html.markup(" ");
    status(html, &event.status, event.rank);
    html.markup("<i>arrived ");
    instant(html, event.received_at_ms);
    let delay_ms = event.received_at_ms.saturating_sub(event.occurred_at_ms);
    html.fill(", $ later", &[&span(delay_ms)]);
    let duplicates = match stored.duplicates {
        0 => String::new(),
        duplicates => decimal(duplicates),
    };
    for (name, value) in [
        ("source", String::from(source_name(event.source))),
        ("duplicates", duplicates),
        ("request", short(&words(&stored.request_ids))),
        ("signature", event.signature.clone().unwrap_or_default()),
        ("flags", words(&event_flags(stored, step))),
    ] {
        if !value.is_empty() {
            html.fill("; $: $", &[name, &value]);
        }
    }
    html.markup("</i>");
    if !event.status_desc.is_empty() {
        let (text, note) = excerpt(event.status_desc.as_bytes());
        html.fill("<p>$$</p>", &[&text, note]);
    }
    body(html, stored.seq, &event.body);
    html.markup("</li>");
}
