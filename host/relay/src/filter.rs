//! [`Filter`]: which events are for a sink.

use batchtask_journal::Event;
use batchtask_notification::{Class, Flags};

/// Which events are for a sink. An empty list allows all values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Application ids.
    pub applications: Vec<String>,
    /// Types of tasks.
    pub types: Vec<String>,
    /// Statuses.
    pub statuses: Vec<String>,
    /// Classes of statuses.
    pub classes: Vec<Class>,
    /// Flags, of which the event must have at least one.
    pub flags: Flags,
}

impl Filter {
    /// Returns whether an event is for the sink.
    pub fn admits(&self, event: &Event) -> bool {
        let class = Class::of_rank(event.rank);
        let flags = Flags::from_bits_truncate(event.flags.bits());
        admits(&self.applications, &event.app_id)
            && admits(&self.types, &event.task_type)
            && admits(&self.statuses, &event.status)
            && (self.classes.is_empty() || self.classes.contains(&class))
            && (self.flags.is_empty() || self.flags.bits() & flags.bits() != 0)
    }
}

fn admits(allowed: &[String], value: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|allowed| allowed == value)
}

#[cfg(test)]
mod tests {
    use batchtask_journal::{EventFlags, Source};

    use super::*;

    fn event() -> Event {
        Event {
            app_id: "app".into(),
            task_id: "task".into(),
            task_type: "firmwareUpgrade".into(),
            status: "Fail".into(),
            status_desc: String::new(),
            event_time: None,
            event_time_ms: None,
            request_id: None,
            digest: vec![0; 32],
            occurred_at_ms: 1,
            rank: 4,
            received_at_ms: 1,
            source: Source::Push,
            signature: None,
            flags: EventFlags::LEGACY_FORM | EventFlags::NO_EVENT_TIME,
            body: Vec::new(),
        }
    }

    #[test]
    fn every_part_restricts() {
        assert!(Filter::default().admits(&event()));
        let texts = |texts: [&str; 2]| texts.map(String::from).to_vec();
        let with = |edit: &dyn Fn(&mut Filter)| {
            let mut filter = Filter::default();
            edit(&mut filter);
            filter.admits(&event())
        };
        assert!(with(&|filter| filter.applications = texts(["a", "app"])));
        assert!(!with(&|filter| filter.applications = texts(["a", "task"])));
        assert!(with(
            &|filter| filter.types = texts(["b", "firmwareUpgrade"])
        ));
        assert!(!with(&|filter| filter.types = texts(["b", "Fail"])));
        assert!(with(&|filter| filter.statuses = texts(["Fail", "Stopped"])));
        assert!(!with(&|filter| filter.statuses = texts(["fail", "Stopped"])));
        assert!(with(&|filter| filter.classes = vec![Class::Retryable]));
        assert!(!with(
            &|filter| filter.classes = vec![Class::Open, Class::Final]
        ));
        assert!(with(
            &|filter| filter.flags = Flags::LEGACY_FORM | Flags::CLOCK_SKEW
        ));
        assert!(!with(&|filter| filter.flags = Flags::CLOCK_SKEW));
    }
}
