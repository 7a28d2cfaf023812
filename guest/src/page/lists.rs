//! The list of tasks.

use alloc::string::String;
use alloc::vec::Vec;

use super::charts::{Axis, activity, bar, timeline};
use super::context::Context;
use super::html::Html;
use super::links::{changed, toggled};
use super::parts::{decimal, duration, pager, short, stale_mark, status, task_link};
use super::shell::{Title, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{
    Activity, Notice, QuarantinePage, Sinks, Summary, Task, TaskCount, TaskOrder, TaskPage,
    TaskSort,
};
use crate::routes::Parameters;
use crate::views::task_flags;
use batchtask_notification::Class;

/// The content of the page of tasks.
pub struct TaskList<'a> {
    /// What the page depends on besides its content.
    pub context: Context<'a>,
    /// The overview of the journal, if the journal supports it.
    pub summary: Option<Summary>,
    /// What arrived over the last day, if the journal supports it.
    pub activity: Option<Vec<Activity>>,
    /// The last reject of the quarantine, if the journal supports it.
    pub quarantine: Option<QuarantinePage>,
    /// The tasks.
    pub tasks: TaskPage,
    /// The property by which the tasks are sorted.
    pub sort: TaskSort,
    /// The direction in which they are sorted.
    pub order: TaskOrder,
    /// Whether the path of the webhook ends in a secret.
    pub has_path_secret: bool,
}

impl TaskList<'_> {
    /// Returns the page.
    pub fn page(&self) -> Response {
        let mut title = Title::new("{Batch tasks|批量任务}$", "");
        title.failed = self.failed();
        page(&self.context, &title, &mut |html| {
            html.markup("<div data-live='a'>");
            if let Some(summary) = &self.summary {
                self.health(html, summary);
                self.counts(html, summary);
            }
            if let Some(spans) = self.activity.as_ref().filter(|spans| !spans.is_empty()) {
                activity(html, spans, self.context.now_ms);
            }
            html.markup("</div>");
            self.form(html);
            html.markup("<div data-live='b'>");
            if let Some(count) = &self.tasks.count {
                results(html, count);
            }
            self.table(html);
            let address = changed(self.context.query(), "cursor", "");
            let (previous, next) = (&self.tasks.previous, &self.tasks.next);
            pager(html, &address, previous.as_deref(), next.as_deref());
            html.markup("</div>");
        })
    }

    /// How many tasks failed and may be retried.
    fn failed(&self) -> u64 {
        let counts = self.summary.iter().flat_map(|summary| &summary.statuses);
        counts
            .filter(|count| Class::of_rank(count.rank) == Class::Retryable)
            .map(|count| count.tasks)
            .fold(0, u64::saturating_add)
    }

    fn counts(&self, html: &mut Html, summary: &Summary) {
        let query = self.context.query();
        let chosen = Parameters::of(query).texts("status").unwrap_or_default();
        html.markup("<ul class='counts'>");
        for count in &summary.statuses {
            let tasks = decimal(count.tasks);
            if count.status.is_empty() {
                html.fill("<li><span><b>$</b> {others|其他}</span>", &[&tasks]);
                continue;
            }
            html.fill(
                "<li><a href='~$'",
                &[&toggled(query, "status", &count.status)],
            );
            current(html, chosen.contains(&count.status));
            html.fill("><b>$</b> ", &[&tasks]);
            status(html, &count.status, count.rank);
            html.markup("</a>");
        }
        if let Some(stale @ 1..) = summary.stale {
            html.fill("<li><a href='~$'", &[&toggled(query, "stale", "true")]);
            current(
                html,
                Parameters::of(query).text("stale").as_deref() == Some("true"),
            );
            html.fill(
                "><b>$</b> <span class='s warn'>⚠ {stale|停滞}</span></a>",
                &[&decimal(stale)],
            );
        }
        html.markup("</ul>");
    }

    /// Writes whether all is well: the last notification, the quarantine, and the notices
    /// of the host.
    fn health(&self, html: &mut Html, summary: &Summary) {
        html.markup("<ul class='health'><li>{Last notification|最近通知} ");
        match summary.last_received_at_ms {
            Some(at_ms) => {
                html.markup("<b class='ago'>");
                html.instant(at_ms);
                html.markup("</b>");
            }
            None => html.markup("<b>{never|从未}</b>"),
        }
        if let Some(quarantine) = &self.quarantine {
            html.markup("<li>{Quarantine|隔离区} ");
            match quarantine.rejects.first() {
                Some(last) => {
                    html.markup("<a class='ago' href='~page/quarantine'>");
                    html.instant(last.reject.received_at_ms);
                    html.markup("</a>");
                }
                None => html.markup("<b>{empty|为空}</b>"),
            }
        }
        if let Some(sinks) = &summary.sinks {
            sinks_item(html, sinks);
        }
        html.fill("<li>batchtask <b>$</b>", &[env!("CARGO_PKG_VERSION")]);
        if summary.notices.is_empty() {
            html.markup("<li><span class='s good'>✔ {no warnings|没有警告}</span>");
        }
        html.markup("</ul>");
        notices(html, &summary.notices);
    }

    fn table(&self, html: &mut Html) {
        if self.tasks.tasks.is_empty() {
            self.empty(html);
            return;
        }
        let axis = Axis::of(&self.tasks.tasks, self.context.now_ms);
        html.markup("<table class='tasks'><thead><tr>");
        self.heading(html, TaskSort::Status, "{Status|状态}");
        self.heading(html, TaskSort::Task, "{Task|任务}");
        html.markup("<th>{Progress|进度}");
        if let Some(axis) = &axis {
            html.markup("<th class='axis'>{Timeline|时间线}<span>");
            html.instant(axis.from_ms);
            html.markup(" ");
            html.instant(axis.to_ms);
            html.markup("</span>");
        }
        let changed = "{Last change|最近变更} (<span class='zone'>UTC</span>)";
        self.heading(html, TaskSort::Changed, changed);
        self.heading(html, TaskSort::FirstSeen, "{Duration|时长}");
        html.markup("</thead><tbody>");
        for task in &self.tasks.tasks {
            self.row(html, axis.as_ref(), task);
        }
        html.markup("</tbody></table>");
    }

    /// Writes the heading of a column: a click sorts by it, and a second one reverses the
    /// order.
    fn heading(&self, html: &mut Html, sort: TaskSort, text: &str) {
        let (name, default) = match sort {
            TaskSort::Changed => ("changed", TaskOrder::Descending),
            TaskSort::FirstSeen => ("first_seen", TaskOrder::Descending),
            TaskSort::Status => ("status", TaskOrder::Ascending),
            TaskSort::Application => ("app_id", TaskOrder::Ascending),
            TaskSort::Task => ("task_id", TaskOrder::Ascending),
        };
        let is_sorted = sort == self.sort;
        // The order after a click.
        let is_ascending = if is_sorted {
            self.order == TaskOrder::Descending
        } else {
            default == TaskOrder::Ascending
        };
        let query = changed(self.context.query(), "sort", name);
        let query = query.strip_prefix('?').unwrap_or(&query);
        let query = changed(query, "order", if is_ascending { "asc" } else { "desc" });
        html.markup(match (is_sorted, is_ascending) {
            (false, _) => "<th>",
            (true, false) => "<th aria-sort='ascending'>",
            (true, true) => "<th aria-sort='descending'>",
        });
        html.fill("<a href='~$'>", &[&query]);
        html.markup(text);
        html.markup("</a>");
    }

    fn empty(&self, html: &mut Html) {
        let secret = if self.has_path_secret { SECRET } else { "" };
        if self.tasks.next.is_some() {
            // A journal may look at a part of the tasks at a time.
            html.markup(
                "<p class='note'>{No task matches yet: there are more to search.|\
                 目前没有匹配的任务：还有更多任务待搜索。}</p>",
            );
        } else if self.context.query().contains('=') {
            html.markup(
                "<p class='note'>{No task matches.|没有匹配的任务。} \
                 <a href='~'>{Show all|显示全部}</a></p>",
            );
        } else {
            html.fill(FIRST, &[secret]);
        }
    }

    fn row(&self, html: &mut Html, axis: Option<&Axis>, task: &Task) {
        let context = &self.context;
        html.fill("<tr data-k='$'><td>", &[&key(task)]);
        status(html, &task.status, task.rank);
        stale_mark(html, task, context.stale_before_ms);
        html.markup("<td>");
        task_link(html, task);
        html.markup("<p class='dim'>");
        if task.name.is_some() {
            html.fill("<bdi>$</bdi> · ", &[&short(&task.task_id)]);
        }
        html.fill(
            "<bdi>$</bdi> · <bdi>$</bdi>",
            &[&short(&task.app_id), &short(&task.task_type)],
        );
        for flag in task_flags(task) {
            html.fill(" <a class='tag' href='~?flag=$'>$</a>", &[flag, flag]);
        }
        html.markup("</p><td>");
        bar(html, task);
        if let Some(axis) = axis {
            html.markup("<td class='axis'>");
            timeline(html, axis, task, context.now_ms);
        }
        html.markup("<td class='ago'>");
        html.instant(task.occurred_at_ms);
        html.markup("<td>");
        duration(html, task);
    }
}

fn current(html: &mut Html, is_current: bool) {
    if is_current {
        html.markup(" aria-current='true'");
    }
}

/// Writes the number of tasks that match.
fn results(html: &mut Html, count: &TaskCount) {
    html.markup("<p class='dim'>");
    if count.more {
        html.markup("{more than|多于} ");
    }
    html.fill("<b>$</b> {tasks|个任务}</p>", &[&decimal(count.tasks)]);
}

/// Identifies the row of a task when the page is updated.
fn key(task: &Task) -> String {
    let mut key = short(&task.app_id);
    key.push('/');
    key.push_str(&short(&task.task_id));
    key
}

/// Writes how the sinks of the host are doing. The host serves their page.
fn sinks_item(html: &mut Html, sinks: &Sinks) {
    html.markup("<li>{Sinks|推送目标} <a href='~page/sinks'>");
    match sinks.failing {
        0 => html.fill("$ ✔", &[&decimal(sinks.total.into())]),
        failing => html.fill(
            "<span class='s bad'>✖ $ {failing|异常}</span>",
            &[&decimal(failing.into())],
        ),
    }
    html.markup("</a>");
}

/// Writes the notices of the host.
fn notices(html: &mut Html, notices: &[Notice]) {
    for notice in notices {
        html.fill("<p class='note warn'>⚠ $ ({since|自} ", &[&notice.text]);
        html.instant(notice.since_ms);
        html.markup(")</p>");
    }
}

/// Shown while there is no task.
const FIRST: &str = "<div class='note'><p>{No notification has arrived yet. Make a rule action of the \
platform push to|尚未收到通知。请在平台上创建规则动作，推送到此接收器的} <code>/notifications$</code>\
{ of this receiver, or send the platform’s example:|，或发送平台的示例：}</p>\
<pre>batchtask send</pre></div>";

/// Shown instead of the secret in the path.
const SECRET: &str = "/<path secret>";
