//! The list of tasks, and the quarantine.

use super::html::Html;
use super::parts::{
    body, decimal, duration, encoded, instant, next, page, progress, short, span, stale_mark,
    status, task_link, words,
};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{Notice, QuarantinePage, Summary, Task, TaskPage};
use crate::routes::Parameters;
use crate::views::task_flags;

/// The content of the page of tasks.
pub struct TaskList<'a> {
    /// The overview of the journal, if the journal supports it.
    pub summary: Option<Summary>,
    /// The tasks.
    pub tasks: TaskPage,
    /// The query string of the request.
    pub query: &'a str,
    /// The time of the request, in milliseconds since 1970.
    pub now_ms: u64,
    /// An open task is stale if its last new event arrived before this, in
    /// milliseconds since 1970.
    pub stale_before_ms: u64,
    /// Whether the path of the webhook ends in a secret.
    pub has_path_secret: bool,
}

impl TaskList<'_> {
    /// Returns the page.
    pub fn page(&self) -> Response {
        page("Batch tasks", &mut |html| {
            html.markup("<div data-live>");
            if let Some(summary) = &self.summary {
                notices(html, &summary.notices);
                self.counts(html, summary);
            }
            html.markup("</div>");
            self.form(html);
            html.markup("<div data-live>");
            self.table(html);
            next(html, "/", self.query, self.tasks.next.as_deref());
            html.markup("</div>");
        })
    }

    fn counts(&self, html: &mut Html, summary: &Summary) {
        html.markup("<ul>");
        for count in &summary.statuses {
            html.markup("<li>");
            if count.status.is_empty() {
                status(html, "others", count.rank);
            } else {
                html.fill("<a href='/?status=$'>", &[&encoded(&count.status)]);
                status(html, &count.status, count.rank);
                html.markup("</a>");
            }
            html.fill(" <b>$</b></li>", &[&decimal(count.tasks)]);
        }
        if let Some(stale @ 1..) = summary.stale {
            html.fill(
                "<li><a class='warn' href='/?class=open&amp;order=oldest'>⚠ stale</a> <b>$</b></li>",
                &[&decimal(stale)],
            );
        }
        html.markup("<li>Last notification ");
        match summary.last_received_at_ms {
            Some(at_ms) => {
                instant(html, at_ms);
                let ago = span(self.now_ms.saturating_sub(at_ms));
                html.fill(", $ ago</li></ul>", &[&ago]);
            }
            None => html.markup("never</li></ul>"),
        }
    }

    fn form(&self, html: &mut Html) {
        let mut parameters = Parameters::of(self.query);
        html.markup(match self.query {
            "" => "<details><summary>Filter</summary><form action='/'>",
            _ => "<details open><summary>Filter</summary><form action='/'>",
        });
        for (name, label, kind) in [
            ("q", "Text", "search"),
            ("status", "Status", "text"),
            ("task_type", "Type", "text"),
            ("app_id", "Application", "text"),
            ("since", "Changed since (UTC)", "datetime-local"),
            ("until", "Changed before (UTC)", "datetime-local"),
        ] {
            let value = parameters.text(name).unwrap_or_default();
            html.fill(
                "<label>$<input type='$' name='$' value='$'></label>",
                &[label, kind, name, &value],
            );
        }
        for (name, label, options) in [
            (
                "class",
                "State",
                ["", "open", "retryable", "final"].as_slice(),
            ),
            ("order", "Order", &["newest", "oldest"]),
        ] {
            let value = parameters.text(name).unwrap_or_default();
            html.fill("<label>$<select name='$'>", &[label, name]);
            for option in options {
                let selected = if *option == value { " selected" } else { "" };
                html.markup("<option");
                html.markup(selected);
                html.fill(
                    " value='$'>$</option>",
                    &[option, if option.is_empty() { "any" } else { option }],
                );
            }
            html.markup("</select></label>");
        }
        html.markup("<button>Filter</button></form></details>");
    }

    fn table(&self, html: &mut Html) {
        if self.tasks.tasks.is_empty() {
            let secret = if self.has_path_secret { SECRET } else { "" };
            match self.query {
                "" => html.fill(FIRST, &[secret]),
                _ => html.markup("<p>No task matches. <a href='/'>Show all</a></p>"),
            }
            return;
        }
        html.markup(
            "<table><thead><tr><th>Status<th>Task<th class='w'>Application<th class='w'>Type\
             <th>Last change (UTC)<th class='w'>Duration<th class='w'>Events<th class='w'>Flags</thead><tbody>",
        );
        for task in &self.tasks.tasks {
            self.row(html, task);
        }
        html.markup("</tbody></table>");
    }

    fn row(&self, html: &mut Html, task: &Task) {
        html.markup("<tr><td>");
        status(html, &task.status, task.rank);
        stale_mark(html, task, self.stale_before_ms);
        if let Some(devices) = &task.progress {
            html.markup("<p>");
            progress(html, devices);
            html.markup("</p>");
        }
        html.markup("<td>");
        task_link(html, task);
        if let Some(name) = &task.name {
            html.fill("<p>$</p>", &[&short(name)]);
        }
        html.fill(
            "<td class='w'>$<td class='w'>$<td>",
            &[&short(&task.app_id), &short(&task.task_type)],
        );
        instant(html, task.occurred_at_ms);
        html.fill(
            "<td class='w'>$<td class='w'>$<td class='w'>$",
            &[
                &duration(task, self.now_ms),
                &decimal(task.events),
                &words(&task_flags(task)),
            ],
        );
    }
}

/// Writes the notices of the host.
fn notices(html: &mut Html, notices: &[Notice]) {
    for notice in notices {
        html.fill("<p class='warn'>⚠ $ (since ", &[&notice.text]);
        instant(html, notice.since_ms);
        html.markup(")</p>");
    }
}

/// Shown while there is no task.
const FIRST: &str = "<p>No notification has arrived yet. Make a rule action of the platform push to \
<code>/notifications$</code> of this receiver, or send the platform's example:</p>\
<pre>batchtask send</pre>";

/// Shown instead of the secret in the path.
const SECRET: &str = "/<path secret>";

/// Returns the page of the quarantine.
pub fn quarantine(rejects: &QuarantinePage, query: &str) -> Response {
    page("Quarantine", &mut |html| {
        html.fill(
            "<div data-live><p>Bodies that are not batch-task notifications. Dropped to make room: $.</p><ol>",
            &[&decimal(rejects.dropped)],
        );
        for quarantined in &rejects.rejects {
            let reject = &quarantined.reject;
            html.markup("<li class='e'>");
            instant(html, reject.received_at_ms);
            html.fill(
                "<p><b>$</b> $ $</p>",
                &[
                    &reject.reason,
                    &reject.detail,
                    reject.pointer.as_deref().unwrap_or_default(),
                ],
            );
            body(html, quarantined.seq, &reject.body);
            html.markup("</li>");
        }
        html.markup("</ol>");
        if rejects.rejects.is_empty() {
            html.markup("<p>The quarantine is empty.</p>");
        }
        next(html, "/page/quarantine", query, rejects.next.as_deref());
        html.markup("</div>");
    })
}
