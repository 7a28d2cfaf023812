//! The page of tasks, and that of the quarantine.

use super::html::Html;
use super::parts::{
    body, decimal, duration, encoded, instant, next, page, short, silence, span, status, task_link,
    words,
};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{Notice, QuarantinePage, Summary, Task, TaskPage};
use crate::routes::Parameters;
use crate::views::task_flags;

/// What the page of tasks shows.
pub struct TaskList<'a> {
    /// The journal at a glance, where the journal can tell.
    pub summary: Option<Summary>,
    /// The tasks.
    pub tasks: TaskPage,
    /// The query that asked for them.
    pub query: &'a str,
    /// When that was, in milliseconds since 1970.
    pub now_ms: u64,
    /// Before when an open task is silent, in milliseconds since 1970.
    pub stale_before_ms: u64,
    /// Whether the path of the webhook ends in a secret.
    pub has_path_secret: bool,
}

impl TaskList<'_> {
    /// The page.
    pub fn page(&self) -> Response {
        page("Batch tasks", &mut |html| {
            html.markup("<div data-live>");
            if let Some(summary) = &self.summary {
                notices(html, &summary.notices);
                self.strip(html, summary);
            }
            html.markup("</div>");
            self.form(html);
            html.markup("<div data-live>");
            self.table(html);
            next(html, "/", self.query, self.tasks.next.as_deref());
            html.markup("</div>");
        })
    }

    fn strip(&self, html: &mut Html, summary: &Summary) {
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
                "<li><a class='warn' href='/?class=open&amp;order=oldest'>⚠ silent</a> <b>$</b></li>",
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
        let mut given = Parameters::of(self.query);
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
            ("until", "and before (UTC)", "datetime-local"),
        ] {
            let value = given.text(name).unwrap_or_default();
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
            let value = given.text(name).unwrap_or_default();
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
                _ => html.markup("<p>No task here matches. <a href='/'>Show all</a></p>"),
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
        silence(html, task, self.stale_before_ms);
        html.markup("<td>");
        task_link(html, task);
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

/// What the host wants its operators to know.
fn notices(html: &mut Html, notices: &[Notice]) {
    for notice in notices {
        html.fill("<p class='warn'>⚠ $ (since ", &[&notice.text]);
        instant(html, notice.since_ms);
        html.markup(")</p>");
    }
}

/// What a receiver shows that has no task yet.
const FIRST: &str = "<p>No notification has arrived yet. Let a rule action of the platform push to \
<code>/notifications$</code> here, or send its example from here:</p>\
<pre>batchtask send</pre>";

/// What stands for the secret in a path: the secret itself is not shown.
const SECRET: &str = "/<path secret>";

/// The page of the quarantine.
pub fn quarantine(rejects: &QuarantinePage, query: &str) -> Response {
    page("Quarantine", &mut |html| {
        html.fill(
            "<div data-live><p>What arrived and was no batch-task notification; $ dropped to make room.</p><ol>",
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
            html.markup("<p>Nothing is here.</p>");
        }
        next(html, "/page/quarantine", query, rejects.next.as_deref());
        html.markup("</div>");
    })
}
