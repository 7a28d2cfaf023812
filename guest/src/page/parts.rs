//! Elements that several pages use.

use alloc::borrow::ToOwned;
use alloc::string::String;
use batchtask_notification::{Class, Status, base64, push_decimal, time};

use super::html::Html;
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{Progress, Task};
use crate::outcomes::{Success, report, respond};
use crate::percent::encode;
use crate::text::{joined, shortened};
use crate::views::is_stale;

// `build.rs` makes these: `page/style.css` and `page/script.js` as one line each,
// and the content security policy, which contains their digests.
const STYLE: &str = include_str!(concat!(env!("OUT_DIR"), "/style.css"));
const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/script.js"));
const POLICY: &str = include_str!(concat!(env!("OUT_DIR"), "/policy.txt"));

/// Returns a whole page. `main` writes its main part.
pub(super) fn page(title: &str, main: &mut dyn FnMut(&mut Html)) -> Response {
    let mut html = Html::default();
    html.fill(
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width'>\
         <link rel='icon' href='data:,'><title>$</title><style>",
        &[title],
    );
    html.markup(STYLE);
    html.markup(
        "</style></head><body><header><a href='/'>Batch tasks</a>\
         <a href='/page/quarantine'>Quarantine</a></header><main>",
    );
    html.fill(
        "<h1>$</h1><p id='state' role='status' class='warn'></p>",
        &[title],
    );
    main(&mut html);
    html.markup("</main><script>");
    html.markup(SCRIPT);
    html.markup("</script></body></html>");
    let success = Success::Read;
    let mut response = respond(
        success.status(),
        "text/html; charset=utf-8",
        html.into_text().into_bytes(),
        report(success.label()),
    );
    let headers = &mut response.headers;
    headers.push(("content-security-policy".into(), POLICY.into()));
    headers.push(("referrer-policy".into(), "no-referrer".into()));
    response
}

/// Writes the link to a task's page. If the path would be longer than hosts
/// accept, only the task's id.
pub(super) fn task_link(html: &mut Html, task: &Task) {
    const LENGTH: usize = 8 << 10;
    let path = path_of(&task.app_id, &task.task_id);
    html.markup("<a");
    if path.len() <= LENGTH {
        html.fill(" href='$'", &[&path]);
    }
    html.fill(">$</a>", &[&short(&task.task_id)]);
}

/// Returns the path of a task's page.
pub(super) fn path_of(app_id: &str, task_id: &str) -> String {
    let mut path = String::from("/page/tasks");
    for id in [app_id, task_id] {
        path.push('/');
        path.push_str(&encoded(id));
    }
    path
}

/// Encodes a text for a segment of a path, a query string or a cookie. Dots are
/// encoded too, because a browser resolves the segments `.` and `..`.
pub(super) fn encoded(text: &str) -> String {
    encode(text, b"")
}

/// Writes a status as icon and word.
pub(super) fn status(html: &mut Html, status: &str, rank: u8) {
    let (style, icon) = match (Class::of_rank(rank), Status::of(status)) {
        (_, Status::Stopped | Status::Stopping) => ("dim", "■"),
        (_, Status::PartialSuccess) => ("warn", "◑"),
        (Class::Open, _) => ("open", "◔"),
        (Class::Retryable, _) => ("bad", "✖"),
        (Class::Final, _) => ("good", "✔"),
    };
    html.fill(
        "<span class='$'><span aria-hidden='true'>$</span> $</span>",
        &[style, icon, &short(status)],
    );
}

/// Writes a mark if a task is stale.
pub(super) fn stale_mark(html: &mut Html, task: &Task, stale_before_ms: u64) {
    if is_stale(task, stale_before_ms) {
        html.markup(" <span class='warn'>⚠ stale</span>");
    }
}

/// Writes how many devices of a task are done, with a bar.
pub(super) fn progress(html: &mut Html, progress: &Progress) {
    let done = [
        progress.success,
        progress.fail,
        progress.stopped,
        progress.removed,
    ];
    let done = done.into_iter().map(u64::from).fold(0, u64::saturating_add);
    let (done, total) = (decimal(done), decimal(progress.total.into()));
    // A bar needs a maximum above 0.
    let max = if progress.total == 0 { "1" } else { &total };
    html.fill(
        "<progress aria-label='Devices done' max='$' value='$'></progress> $/$",
        &[max, &done, &done, &total],
    );
}

/// Writes an instant, to the second.
pub(super) fn instant(html: &mut Html, at_ms: u64) {
    let exact = time::rfc3339(at_ms);
    let (day, rest) = exact.split_once('T').unwrap_or_default();
    let second = rest.split('.').next().unwrap_or_default();
    html.fill("<time datetime='$'>$ $</time>", &[&exact, day, second]);
}

/// Returns a length of time as text, in its two greatest units.
pub(super) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (great, great_unit, small, small_unit) = match (days, hours, minutes) {
        (0, 0, 0) => (seconds, " s", 0, ""),
        (0, 0, _) => (minutes, " min", seconds % 60, " s"),
        (0, _, _) => (hours, " h", minutes % 60, " min"),
        _ => (days, " d", hours % 24, " h"),
    };
    let mut text = decimal(great);
    text.push_str(great_unit);
    if small > 0 {
        text.push(' ');
        push_decimal(&mut text, small);
        text.push_str(small_unit);
    }
    text
}

pub(super) fn decimal(value: u64) -> String {
    let mut text = String::new();
    push_decimal(&mut text, value);
    text
}

/// Returns a text of the platform, cut off if it is long: an id may be as long
/// as a body.
pub(super) fn short(text: &str) -> String {
    const LENGTH: usize = 1024;
    shortened(text, LENGTH)
}

/// Returns bytes as text, cut off if they are long, and a note that says what
/// was changed.
pub(super) fn excerpt(bytes: &[u8]) -> (String, &'static str) {
    const LENGTH: usize = 2048;
    match core::str::from_utf8(bytes) {
        Ok(text) if text.len() <= LENGTH => (text.to_owned(), ""),
        Ok(text) => {
            let cut = text.get(..text.floor_char_boundary(LENGTH));
            (cut.unwrap_or_default().to_owned(), " (truncated)")
        }
        Err(_) => {
            let (cut, note) = match bytes.get(..LENGTH) {
                Some(cut) => (cut, " (base64, truncated)"),
                None => (bytes, " (base64)"),
            };
            (base64(cut), note)
        }
    }
}

/// Writes a body, folded until it is clicked.
pub(super) fn body(html: &mut Html, seq: u64, bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let (text, note) = excerpt(bytes);
    html.fill(
        "<details id='b$'><summary>Body, $ bytes$</summary><pre>$</pre></details>",
        &[&decimal(seq), &decimal(length), note, &text],
    );
}

/// Joins words with spaces.
pub(super) fn words<T: AsRef<str>>(words: &[T]) -> String {
    joined(words, " ")
}

/// Writes the link to the next page: the same query with another cursor.
pub(super) fn next(html: &mut Html, path: &str, query: &str, cursor: Option<&str>) {
    let Some(cursor) = cursor else { return };
    let mut target = String::from(path);
    target.push('?');
    for pair in query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="))
    {
        target.push_str(pair);
        target.push('&');
    }
    target.push_str("cursor=");
    target.push_str(&encoded(cursor));
    html.fill("<p><a href='$' rel='next'>Next page</a></p>", &[&target]);
}

/// Returns the time from the first change to the last, or to now if the task is
/// open.
pub(super) fn duration(task: &Task, now_ms: u64) -> String {
    let end_ms = match Class::of_rank(task.rank) {
        Class::Open => now_ms,
        _ => task.occurred_at_ms,
    };
    span(end_ms.saturating_sub(task.first_occurred_at_ms))
}
