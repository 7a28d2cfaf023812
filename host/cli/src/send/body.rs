//! The JSON body of a notification.

use batchtask_host::clock::now_ms;
use batchtask_notification::time;
use bytes::Bytes;
use clap::Args;
use serde_json::json;

use crate::filter::instant;

/// The example from the platform's manual, verbatim.
pub(super) const SAMPLE: &str = include_str!("../../../../tests/samples/seed-example.json");

/// The fields of a notification, as options. A missing time is now, a missing request
/// id is random, and other missing fields are those of the sample.
#[derive(Args)]
#[command(next_help_heading = "Fields of the notification")]
pub(super) struct Fields {
    /// The resource space
    #[arg(long, value_name = "ID")]
    pub(super) app_id: Option<String>,
    /// The task
    #[arg(long, value_name = "ID", conflicts_with = "scenario")]
    task_id: Option<String>,
    /// The task's type, such as `softwareUpgrade`
    #[arg(long, value_name = "TYPE")]
    pub(super) task_type: Option<String>,
    /// The task's status, such as `Processing`
    #[arg(long, value_name = "STATUS", conflicts_with = "scenario")]
    status: Option<String>,
    /// The description of the status
    #[arg(long, value_name = "TEXT", conflicts_with = "scenario")]
    status_desc: Option<String>,
    /// The UTC time of the change, such as `2026-01-31T12:00:00.000Z`; also sets
    /// `event_time` [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "scenario")]
    event_time_ms: Option<String>,
    /// The trace id
    #[arg(long, value_name = "ID", conflicts_with = "scenario")]
    request_id: Option<String>,
}

/// The default of `task_type`, as in the sample.
pub(super) const TASK_TYPE: &str = "softwareUpgrade";

/// The contents of a notification.
pub(super) struct Notification<'a> {
    pub(super) app_id: &'a str,
    pub(super) task_id: &'a str,
    pub(super) task_type: &'a str,
    pub(super) status: &'a str,
    pub(super) status_desc: &'a str,
    /// The time, in the form of `event_time_ms`.
    pub(super) at: String,
    pub(super) request_id: String,
}

impl Fields {
    /// Whether any field is set.
    pub(super) fn has_any(&self) -> bool {
        let Self {
            app_id,
            task_id,
            task_type,
            status,
            status_desc,
            event_time_ms,
            request_id,
        } = self;
        [
            app_id,
            task_id,
            task_type,
            status,
            status_desc,
            event_time_ms,
            request_id,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    pub(super) fn notification(&self) -> Notification<'_> {
        fn value_or<'a>(field: &'a Option<String>, default: &'a str) -> &'a str {
            field.as_deref().unwrap_or(default)
        }
        let now = || time::rfc3339(now_ms());
        let request_id = || uuid(&mut fastrand::Rng::new());
        Notification {
            app_id: value_or(&self.app_id, "1a7ffc5c-d89c-44dd-8265-b1653d951ce0"),
            task_id: value_or(&self.task_id, "1a7ffc5c-d89c-44dd-8265"),
            task_type: value_or(&self.task_type, TASK_TYPE),
            status: value_or(&self.status, "Waitting"),
            status_desc: value_or(&self.status_desc, "status_desc"),
            at: self.event_time_ms.clone().unwrap_or_else(now),
            request_id: self.request_id.clone().unwrap_or_else(request_id),
        }
    }
}

impl Notification<'_> {
    /// Returns the body of its push.
    pub(super) fn body(&self) -> Bytes {
        let seconds = self.at.split('.').next().unwrap_or_default();
        let body = json!({
            "resource": "batchtask",
            "event": "update",
            "event_time": seconds.replace(['-', ':'], "") + "Z",
            "event_time_ms": self.at,
            "request_id": self.request_id,
            "notify_data": {
                "body": {
                    "app_id": self.app_id,
                    "task_id": self.task_id,
                    "task_type": self.task_type,
                    "status": self.status,
                    "status_desc": self.status_desc,
                },
            },
        });
        body.to_string().into()
    }
}

/// Returns a random id, in the form of a UUID.
pub(super) fn uuid(random: &mut fastrand::Rng) -> String {
    let id = random.u128(..);
    let (a, b, c, d, e) = (
        id >> 96,
        (id >> 80) & 0xffff,
        (id >> 64) & 0xffff,
        (id >> 48) & 0xffff,
        id & 0xffff_ffff_ffff,
    );
    format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use batchtask_notification::{Flags, Notification as Parsed};
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fields: Fields,
        #[arg(long)]
        scenario: bool,
    }

    fn fields(line: &[&str]) -> Fields {
        Line::parse_from([&["send"], line].concat()).fields
    }

    #[test]
    fn a_missing_field_is_that_of_the_sample() {
        let text = "\"\n✓";
        let fields = fields(&[
            "--status-desc",
            text,
            "--event-time-ms",
            "2026-01-31T12:34:56.789Z",
        ]);
        assert!(fields.has_any());
        let parsed = Parsed::parse(&fields.notification().body()).unwrap();
        let sample = Parsed::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(parsed.status_desc(), text);
        assert_eq!(parsed.event_time_ms(), Some("2026-01-31T12:34:56.789Z"));
        assert_eq!(parsed.event_time(), Some("20260131T123456Z"));
        assert_eq!(parsed.app_id(), sample.app_id());
        assert_eq!(parsed.task_id(), sample.task_id());
        assert_eq!(parsed.task_type(), sample.task_type());
        assert_eq!(parsed.status(), sample.status());
        assert_eq!(parsed.flags(), Flags::default());
        assert_eq!(
            parsed.request_id().map(str::len),
            sample.request_id().map(str::len)
        );
    }

    #[test]
    fn it_is_known_whether_any_field_is_set() {
        assert!(!fields(&[]).has_any());
        assert!(fields(&["--request-id", "x"]).has_any());
    }
}
