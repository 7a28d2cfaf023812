//! The filters and the order of `GET /tasks`, as options.

use std::time::SystemTime;

use batchtask_guest::instants::{INSTANT_FORMS, parse_instant};
use batchtask_notification::time;
use clap::{Args, ValueEnum};

use super::reader::Query;

/// The filters of `GET /tasks`.
#[derive(Args)]
#[command(next_help_heading = "Filters (each may be repeated, unless it is a time or a text)")]
pub(super) struct Filter {
    /// Tasks with this status, such as `Processing`
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// Tasks of this class: still open, ended but retryable, or ended for good
    #[arg(long, value_enum)]
    class: Vec<Class>,
    /// Tasks of this type, such as `softwareUpgrade`
    #[arg(long, value_name = "TYPE")]
    task_type: Vec<String>,
    /// Tasks of this resource space
    #[arg(long, value_name = "ID")]
    app_id: Vec<String>,
    /// Tasks with this flag, such as `gap`
    #[arg(long, value_name = "FLAG")]
    flag: Vec<String>,
    /// Open tasks of which nothing was heard for long
    #[arg(long)]
    stale: bool,
    /// Tasks whose ids or texts contain this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Tasks last changed at or after this time, such as `2h` (ago), `2026-01-31`
    /// or `2026-01-31T20:00+08:00`. UTC, if it has no offset
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<String>,
    /// Tasks last changed before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<String>,
}

/// The class of a status.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Class {
    Open,
    Retryable,
    Final,
}

impl Class {
    /// Whether a status belongs to the class.
    pub(super) fn includes(self, status: &str) -> bool {
        let class = batchtask_notification::Status::of(status).class();
        class.name() == name(self)
    }
}

/// What tasks are sorted by.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum Sort {
    /// The last change.
    #[default]
    Changed,
    /// The first known change.
    FirstSeen,
    /// The status, first by how far the task is.
    Status,
    /// The resource space.
    AppId,
    /// The task id.
    TaskId,
}

/// The direction in which tasks are sorted.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Order {
    /// The least comes first.
    #[value(alias = "oldest")]
    Asc,
    /// The greatest comes first.
    #[value(alias = "newest")]
    Desc,
}

impl Filter {
    pub(super) fn query(&self, sort: Sort, order: Option<Order>, limit: u32) -> Query {
        let classes: Vec<_> = self.class.iter().map(|class| name(*class)).collect();
        Query::default()
            .with_each("status", &self.status)
            .with_each("class", &classes)
            .with_each("task_type", &self.task_type)
            .with_each("app_id", &self.app_id)
            .with_each("flag", &self.flag)
            .with("stale", self.stale.then_some(true))
            .with("q", self.q.as_ref())
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
            .with("sort", Some(name(sort).replace('-', "_")))
            .with("order", order.map(name))
            .with("limit", Some(limit))
    }
}

/// Returns the name of a value on the command line, which is also its name in the
/// API.
fn name(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Converts an instant or an age to the API's form of an instant. It understands what
/// the API does.
pub(super) fn instant(text: &str) -> Result<String, String> {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let at_ms = parse_instant(text, now_ms);
    at_ms
        .map(time::rfc3339)
        .ok_or_else(|| format!("it must be {INSTANT_FORMS}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_what_the_api_understands() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
            ("2026-01-31T12:34Z", "2026-01-31T12:34:00.000Z"),
            ("2026-01-31T12:34:56Z", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T20:34:56+08:00", "2026-01-31T12:34:56.000Z"),
        ] {
            assert_eq!(instant(text).as_deref(), Ok(expected));
        }
        assert!(instant("2h").unwrap() < instant("1h").unwrap());
        for text in ["", "2026-02-30", "yesterday"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_class_includes_its_statuses() {
        for (status, class) in [
            ("Processing", Class::Open),
            ("Paused", Class::Open),
            ("Fail", Class::Retryable),
            ("Stopped", Class::Final),
        ] {
            for other in [Class::Open, Class::Retryable, Class::Final] {
                assert_eq!(other.includes(status), other == class, "{status}");
            }
        }
    }
}
