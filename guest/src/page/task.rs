//! The page of a task.

use super::html::Html;
use super::parts::{
    body, decimal, duration, excerpt, instant, next, page, path_of, short, span, stale_mark,
    status, words,
};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{HistoryPage, StoredEvent, Task};
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
        html.markup("</p><dl>");
        for (name, value) in [
            ("Application", short(&task.app_id).as_str()),
            ("Type", &short(&task.task_type)),
            ("Duration", &duration(task, now_ms)),
            ("Events", &decimal(task.events)),
            ("Duplicates", &decimal(task.duplicates)),
            ("Flags", &words(&task_flags(task))),
        ] {
            if !value.is_empty() {
                html.fill("<div><dt>$<dd>$</div>", &[name, value]);
            }
        }
        html.markup("</dl><h2>History (UTC)</h2><ol>");
        for (stored, step) in steps(history) {
            event(html, stored, step);
        }
        html.markup("</ol>");
        let path = path_of(&task.app_id, &task.task_id);
        next(html, &path, query, history.next.as_deref());
        html.markup("</div>");
    })
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
