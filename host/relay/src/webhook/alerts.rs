//! Alerts as a message.

use std::time::SystemTime;

use batchtask_guest::json::Object;
use batchtask_notification::time::rfc3339;
use batchtask_webhook::Message;
use batchtask_webhook::message::of_alerts;

use crate::backoff::milliseconds;
use crate::report::{Alert, Report, TaskLine};

/// Returns the message with alerts, or `None` if the report has none.
pub(crate) fn message(sink: &str, report: &Report) -> Option<Message> {
    let Report::Alerts(alerts) = report else {
        return None;
    };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let data = |json: &mut Object| {
        json.text("sink", sink);
        json.objects("alerts", alerts, alert);
    };
    Some(of_alerts(&report.id(sink), milliseconds(now), data))
}

fn alert(json: &mut Object, alert: &Alert) {
    json.text("condition", alert.condition.name());
    json.text("change", alert.change.name());
    json.text("since", &rfc3339(alert.since_ms));
    json.number("count", alert.count);
    json.number("added", alert.added);
    json.texts("subjects", &alert.level.subjects);
    json.texts("details", &alert.level.details);
    json.objects("tasks", &alert.tasks, task);
}

fn task(json: &mut Object, line: &TaskLine) {
    json.text("app_id", &line.app_id);
    json.text("task_id", &line.task_id);
    json.text_or_null("name", line.name.as_deref());
    json.text("task_type", &line.task_type);
    json.text("status", &line.status);
    json.text("status_desc", &line.status_desc);
    if let Some(devices) = line.devices {
        json.object("devices", |json| {
            json.number("total", devices.total.into());
            json.number("succeeded", devices.succeeded.into());
            json.number("failed", devices.failed.into());
        });
    }
}
