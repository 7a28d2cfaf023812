//! Elements that several pages use.

use alloc::borrow::ToOwned;
use alloc::string::String;
use batchtask_notification::{Class, Status, base64, push_decimal};

use super::html::Html;
use super::links::{encoded, href, of_task};
use crate::journal::Task;
use crate::text::shortened;
use crate::views::is_stale;

/// Writes the link to a task's page, with the name or the id of the task.
pub(super) fn task_link(html: &mut Html, task: &Task) {
    html.markup("<a");
    href(html, &of_task(&task.app_id, &task.task_id));
    let name = task.name.as_deref().unwrap_or(&task.task_id);
    html.fill("><bdi>$</bdi></a>", &[&short(name)]);
}

/// Returns the class of a status in the style, and its icon.
pub(super) fn look(status: &str, rank: u8) -> (&'static str, &'static str) {
    match (Class::of_rank(rank), Status::of(status)) {
        (_, Status::Stopped | Status::Stopping) => ("dim", "■"),
        (_, Status::PartialSuccess) => ("warn", "◑"),
        (_, Status::Waitting | Status::Initializing) => ("wait", "○"),
        (Class::Open, _) => ("open", "◔"),
        (Class::Retryable, _) => ("bad", "✖"),
        (Class::Final, _) => ("good", "✔"),
    }
}

/// Writes a status as icon and word.
pub(super) fn status(html: &mut Html, status: &str, rank: u8) {
    let (style, icon) = look(status, rank);
    html.fill(
        "<span class='s $'><span aria-hidden='true'>$</span> <bdi>$</bdi></span>",
        &[style, icon, &short(status)],
    );
}

/// Writes a mark if a task is stale.
pub(super) fn stale_mark(html: &mut Html, task: &Task, stale_before_ms: u64) {
    if is_stale(task, stale_before_ms) {
        html.markup(" <span class='tag warn'>⚠ {stale|停滞}</span>");
    }
}

/// Writes flags.
pub(super) fn flags(html: &mut Html, flags: &[&str]) {
    for flag in flags {
        html.fill(" <span class='tag'>$</span>", &[flag]);
    }
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

/// Returns bytes as text, cut off if they are long, and markup that says what
/// was changed.
pub(super) fn excerpt(bytes: &[u8]) -> (String, &'static str) {
    const LENGTH: usize = 4096;
    const CUT: &str = ", {truncated|已截断}";
    match core::str::from_utf8(bytes) {
        Ok(text) if text.len() <= LENGTH => (text.to_owned(), ""),
        Ok(text) => {
            let cut = text.get(..text.floor_char_boundary(LENGTH));
            (cut.unwrap_or_default().to_owned(), CUT)
        }
        Err(_) => match bytes.get(..LENGTH) {
            Some(cut) => (base64(cut), ", base64, {truncated|已截断}"),
            None => (base64(bytes), ", base64"),
        },
    }
}

/// Writes a body, folded until it is clicked. `of` says what it is the body of.
pub(super) fn body(html: &mut Html, of: &str, seq: u64, bytes: &[u8]) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let (text, note) = excerpt(bytes);
    let seq = decimal(seq);
    html.fill(
        "<details id='b$'><summary>{Body, $ bytes|正文，$ 字节}",
        &[&seq, &decimal(length)],
    );
    html.markup(note);
    html.fill(
        "</summary><pre tabindex='0'><code dir='auto'>$</code></pre><p><button type='button' class='copy' hidden>\
         {Copy|复制}</button> <a href='~page/body?$=$' download>{Download|下载}</a></p></details>",
        &[&text, of, &seq],
    );
}

/// Writes the links to the previous and the next page: the same query with another
/// cursor. `page` is the address of the list, below the root.
pub(super) fn pager(html: &mut Html, page: &str, previous: Option<&str>, next: Option<&str>) {
    if previous.is_none() && next.is_none() {
        return;
    }
    html.markup("<nav class='pager' aria-label='{More|更多}'>");
    for (cursor, markup) in [
        (previous, " rel='prev'>← {Previous page|上一页}</a>"),
        (next, " rel='next'>{Next page|下一页} →</a>"),
    ] {
        let Some(cursor) = cursor else { continue };
        let mut address = String::from(page);
        if !address.ends_with('?') {
            address.push('&');
        }
        address.push_str("cursor=");
        address.push_str(&encoded(cursor));
        html.markup("<a");
        href(html, &address);
        html.markup(markup);
    }
    html.markup("</nav>");
}

/// Writes the time from the first change to the last. If the task is open, it writes
/// the first: the script shows the time that has passed since.
pub(super) fn duration(html: &mut Html, task: &Task) {
    match Class::of_rank(task.rank) {
        Class::Open => {
            html.markup("<span class='since'><i>{since|自} </i>");
            html.instant(task.first_occurred_at_ms);
            html.markup("</span>");
        }
        _ => html.span(
            task.occurred_at_ms
                .saturating_sub(task.first_occurred_at_ms),
        ),
    }
}
