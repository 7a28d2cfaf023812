//! The page of a task.

use alloc::string::String;

use super::charts::bar;
use super::context::Context;
use super::html::Html;
use super::links::of_task;
use super::parts::{
    body, decimal, duration, excerpt, flags, look, pager, short, stale_mark, status,
};
use super::shell::{Title, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::journal::{FailedDevice, HistoryPage, Policy, Progress, StoredEvent, Task, source_name};
use crate::text::joined;
use crate::views::{event_flags, steps, task_flags};

/// Returns the page of a task: its state, and when each change happened and
/// arrived.
pub fn task(context: &Context<'_>, task: &Task, history: &HistoryPage) -> Response {
    let id = short(&task.task_id);
    page(context, &Title::new("$", &id), &mut |html| {
        html.markup("<div data-live='a'><p class='state'>");
        status(html, &task.status, task.rank);
        stale_mark(html, task, context.stale_before_ms);
        flags(html, &task_flags(task));
        html.markup("</p><p class='wide'>");
        bar(html, task);
        html.markup("</p>");
        if let Some(progress) = &task.progress {
            devices(html, progress);
        }
        facts(html, task);
        if !task.failed_devices.is_empty() {
            failures(html, &task.failed_devices);
        }
        html.markup("<h2>{History|历史} (<span class='zone'>UTC</span>)</h2><ol class='history'>");
        for (stored, step) in steps(history) {
            event(html, stored, step);
        }
        html.markup("</ol>");
        let address = of_task(&task.app_id, &task.task_id);
        pager(html, &address, None, history.next.as_deref());
        html.markup("</div>");
    })
}

fn facts(html: &mut Html, task: &Task) {
    html.markup("<dl>");
    for (name, value) in [
        ("{Name|名称}", task.name.as_deref().unwrap_or_default()),
        ("{Application|应用}", &task.app_id),
        ("{Type|类型}", &task.task_type),
    ] {
        fact(html, name, &short(value));
    }
    html.markup("<div><dt>{Duration|时长}<dd>");
    duration(html, task);
    html.markup("</div>");
    fact(html, "{Events|事件}", &decimal(task.events));
    fact(html, "{Duplicates|重复}", &decimal(task.duplicates));
    if let Some(policy) = &task.policy {
        policy_facts(html, policy);
    }
    html.markup("</dl>");
}

/// Writes a fact, unless its value is empty.
fn fact(html: &mut Html, name: &str, value: &str) {
    if !value.is_empty() {
        html.markup("<div><dt>");
        html.markup(name);
        html.fill("<dd><bdi>$</bdi></div>", &[value]);
    }
}

/// Writes when a task begins, and how often it is repeated.
fn policy_facts(html: &mut Html, policy: &Policy) {
    match policy.schedule_time.as_deref() {
        Some(begin) => fact(html, "{Begin|开始}", &short(begin)),
        None => html.markup("<div><dt>{Begin|开始}<dd>{at once|立即}</div>"),
    }
    let number = |number: Option<u32>| {
        number
            .map(|number| decimal(number.into()))
            .unwrap_or_default()
    };
    fact(html, "{Retries|重试次数}", &number(policy.retry_count));
    let minutes = number(policy.retry_interval);
    fact(html, "{Minutes between retries|重试间隔（分钟）}", &minutes);
}

/// Writes how many devices are in which state.
fn devices(html: &mut Html, counts: &Progress) {
    html.markup("<p class='dim'>");
    for (devices, state) in [
        (counts.success, "{succeeded|成功}"),
        (counts.fail, "{failed|失败}"),
        (counts.processing, "{in progress|执行中}"),
        (counts.waiting, "{waiting|等待}"),
        (counts.fail_wait_retry, "{waiting for a retry|等待重试}"),
        (counts.stopped, "{stopped|已停止}"),
        (counts.removed, "{removed|已移除}"),
    ] {
        if devices > 0 {
            html.fill("<b>$</b> ", &[&decimal(devices.into())]);
            html.markup(state);
            html.markup(" · ");
        }
    }
    html.markup("{the platform’s count of|平台统计时间} ");
    html.instant(counts.at_ms);
    html.markup("</p>");
}

fn failures(html: &mut Html, failed: &[FailedDevice]) {
    html.markup(
        "<h2>{Failed devices|失败的设备}</h2><table><thead><tr><th>{Device|设备}<th>{Error|错误码}\
         <th>{Message|信息}</thead><tbody>",
    );
    for failed in failed {
        html.markup("<tr>");
        let [code, message] = [&failed.error_code, &failed.error_msg];
        for cell in [Some(&failed.device), code.as_ref(), message.as_ref()] {
            let cell = cell.map(String::as_str).unwrap_or_default();
            html.fill("<td><bdi>$</bdi>", &[cell]);
        }
    }
    html.markup("</tbody></table>");
}

fn event(html: &mut Html, stored: &StoredEvent, step: Option<&'static str>) {
    let event = &stored.event;
    if step == Some("gap") {
        html.markup(
            "<li class='gap'>{A change in between was not received.|其间有一次变更未收到。}",
        );
    }
    let (style, _) = look(&event.status, event.rank);
    html.fill("<li class='$' data-k='$'>", &[style, &decimal(stored.seq)]);
    status(html, &event.status, event.rank);
    html.markup(" ");
    html.instant(event.occurred_at_ms);
    flags(html, &event_flags(stored, step));
    if !event.status_desc.is_empty() {
        let (text, note) = excerpt(event.status_desc.as_bytes());
        html.fill("<p><bdi>$</bdi>", &[&text]);
        html.markup(note);
        html.markup("</p>");
    }
    arrival(html, stored);
    body(html, "event", stored.seq, &event.body);
}

/// Writes how an event arrived.
fn arrival(html: &mut Html, stored: &StoredEvent) {
    let event = &stored.event;
    html.markup("<p class='dim'>{arrived|到达} ");
    html.instant(event.received_at_ms);
    html.markup(", ");
    html.span(event.received_at_ms.saturating_sub(event.occurred_at_ms));
    html.markup("{ later| 之后}");
    let duplicates = match stored.duplicates {
        0 => String::new(),
        duplicates => decimal(duplicates),
    };
    for (name, value) in [
        ("{source|来源}", source_name(event.source)),
        ("{duplicates|重复}", &duplicates),
        ("{request|请求}", &short(&joined(&stored.request_ids, " "))),
        (
            "{signature|签名}",
            event.signature.as_deref().unwrap_or_default(),
        ),
    ] {
        if !value.is_empty() {
            html.markup(" · ");
            html.markup(name);
            html.fill(": <bdi>$</bdi>", &[value]);
        }
    }
    html.markup("</p>");
}
