//! The filters and the order of `GET /tasks`, as options.

use batchtask_notification::time;
use clap::{Args, ValueEnum};

use super::reader::Query;

/// The filters of `GET /tasks`.
#[derive(Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// Tasks with this status, such as `Processing`
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Tasks of this class: still open, ended but retryable, or ended for good
    #[arg(long, value_enum)]
    class: Option<Class>,
    /// Tasks of this type, such as `softwareUpgrade`
    #[arg(long, value_name = "TYPE")]
    task_type: Option<String>,
    /// Tasks of this resource space
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,
    /// Tasks whose ids or texts contain this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
    /// Tasks last changed at or after this UTC time, such as `2026-01-31`
    /// or `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<String>,
    /// Tasks last changed before this UTC time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Class {
    Open,
    Retryable,
    Final,
}

/// The order of tasks, by the time of their last change.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(super) enum Order {
    /// The most recently changed task first.
    #[default]
    Newest,
    /// The least recently changed task first.
    Oldest,
}

impl Filter {
    pub(super) fn query(&self, order: Order, limit: u32) -> Query {
        Query::default()
            .with("status", self.status.as_ref())
            .with("class", self.class.map(name))
            .with("task_type", self.task_type.as_ref())
            .with("app_id", self.app_id.as_ref())
            .with("q", self.q.as_ref())
            .with("since", self.since.as_ref())
            .with("until", self.until.as_ref())
            .with("order", Some(name(order)))
            .with("limit", Some(limit))
    }
}

/// Returns the name of a value on the command line, which is also its name in the
/// API.
fn name(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Converts a UTC time to the API's form. The time of day or the milliseconds may
/// be missing.
pub(super) fn instant(text: &str) -> Result<String, &'static str> {
    let seconds = text.strip_suffix('Z').map(|text| format!("{text}.000Z"));
    let day = format!("{text}T00:00:00.000Z");
    [Some(text.to_owned()), seconds, Some(day)]
        .into_iter()
        .flatten()
        .find(|text| time::parse_milliseconds(text).is_some())
        .ok_or("it must be a UTC time such as `2026-01-31` or `2026-01-31T12:00:00Z`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_may_be_short() {
        for (text, expected) in [
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
            ("2026-01-31T12:34:56Z", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T12:34:56.789Z", "2026-01-31T12:34:56.789Z"),
        ] {
            assert_eq!(instant(text).as_deref(), Ok(expected));
        }
        for text in ["", "2026-02-30", "2026-01-31T12:34Z", "yesterday"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }
}
