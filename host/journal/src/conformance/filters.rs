//! Which tasks a list contains.

use super::fixture::{Fixture, NOW_MS, Suite, all_tasks, assert_unsupported, event};
use crate::{Class, Error, Event, EventFlags, StepFlags, TaskOrder, TaskQuery};

/// A journal with four tasks that differ in every field that can be filtered.
async fn four_tasks(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    let b = Event {
        rank: 5,
        ..event("b", "Success", 20)
    };
    let c = Event {
        task_type: "other".into(),
        ..event("c", "Processing", 30)
    };
    let d = Event {
        app_id: "else".into(),
        rank: 4,
        status_desc: "3 devices failed".into(),
        ..event("d", "Fail", 40)
    };
    for event in [event("a", "Processing", 10), b, c, d] {
        journal.record(event).await;
    }
    // Only the state is filtered, so no query finds this earlier status.
    journal.record(event("a", "Waitting", 5)).await;
    journal
}

/// Makes a query with these filters: lists of texts, and optional values.
macro_rules! query {
    ($($member:ident: $value:expr),* $(,)?) => {
        TaskQuery {
            $($member: FilterValue::filter($value),)*
            order: TaskOrder::Ascending,
            limit: 1,
            ..all_tasks()
        }
    };
}

/// A value of a filter, as a query contains it.
trait FilterValue<T> {
    fn filter(self) -> T;
}

impl FilterValue<Option<u64>> for u64 {
    fn filter(self) -> Option<u64> {
        Some(self)
    }
}

impl FilterValue<Option<String>> for &str {
    fn filter(self) -> Option<String> {
        Some(self.into())
    }
}

impl<const N: usize> FilterValue<Vec<String>> for [&str; N] {
    fn filter(self) -> Vec<String> {
        self.map(str::to_owned).into()
    }
}

impl<const N: usize> FilterValue<Vec<Class>> for [Class; N] {
    fn filter(self) -> Vec<Class> {
        self.into()
    }
}

impl FilterValue<EventFlags> for EventFlags {
    fn filter(self) -> EventFlags {
        self
    }
}

impl FilterValue<StepFlags> for StepFlags {
    fn filter(self) -> StepFlags {
        self
    }
}

pub(super) async fn every_filter_restricts(suite: Suite) {
    let journal = four_tasks(&suite).await;
    for (expected, query) in [
        ("a b c d", query! {}),
        ("a c", query! { statuses: ["Processing"] }),
        ("", query! { statuses: ["processing"] }),
        ("", query! { statuses: ["Waitting"] }),
        ("c", query! { task_types: ["other"] }),
        ("", query! { task_types: [""] }),
        ("d", query! { app_ids: ["else"] }),
        ("b c", query! { since_ms: 20_u64, until_ms: 40_u64 }),
        ("", query! { since_ms: u64::MAX }),
        ("a b c d", query! { until_ms: u64::MAX }),
        ("", query! { until_ms: 10_u64 }),
        ("d", query! { text: "LSE" }),
        ("d", query! { text: "devices FAILED" }),
        ("a", query! { statuses: ["Processing"], until_ms: 30_u64 }),
        ("c", query! { statuses: ["Processing"], text: "other" }),
        ("b", query! { app_ids: ["app"], classes: [Class::Final] }),
        ("", query! { app_ids: ["else"], classes: [Class::Final] }),
        (
            "a",
            query! { classes: [Class::Open], task_types: ["softwareUpgrade"] },
        ),
    ] {
        let found = journal.all_pages(&query).await.join(" ");
        assert_eq!(found, expected, "{query:?}");
    }
}

pub(super) async fn the_values_of_a_filter_are_alternatives(suite: Suite) {
    let journal = four_tasks(&suite).await;
    for (expected, query) in [
        ("a c d", query! { statuses: ["Processing", "Fail"] }),
        ("b d", query! { statuses: ["Fail", "none", "Success"] }),
        (
            "a b c",
            query! { task_types: ["softwareUpgrade", "other"], app_ids: ["app"] },
        ),
        ("a b c d", query! { app_ids: ["else", "app"] }),
        ("b d", query! { classes: [Class::Retryable, Class::Final] }),
        ("a c d", query! { classes: [Class::Open, Class::Retryable] }),
        (
            "d",
            query! { statuses: ["Success", "Fail"], classes: [Class::Retryable, Class::Open] },
        ),
    ] {
        let found = journal.all_pages(&query).await.join(" ");
        assert_eq!(found, expected, "{query:?}");
    }
}

/// A journal with tasks that differ in their flags, steps and last arrivals.
async fn flagged_tasks(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    let skewed = Event {
        flags: EventFlags::CLOCK_SKEW | EventFlags::EXTRA_FIELDS,
        ..event("skewed", "Processing", 10)
    };
    let fails = Event {
        rank: 4,
        ..event("retried", "Fail", 40)
    };
    let gap = Event {
        rank: 5,
        ..event("gap", "Success", 50)
    };
    let fresh = Event {
        received_at_ms: NOW_MS + 1000,
        flags: EventFlags::LEGACY_FORM,
        ..event("fresh", "Processing", 60)
    };
    for event in [
        skewed,
        event("skewed", "Processing", 20),
        event("retried", "Processing", 30),
        fails,
        event("retried", "Processing", 45),
        gap,
        fresh,
    ] {
        journal.record(event).await;
    }
    journal
}

pub(super) async fn flags_and_steps_are_alternatives(suite: Suite) {
    let journal = flagged_tasks(&suite).await;
    for (expected, query) in [
        ("skewed", query! { flags: EventFlags::CLOCK_SKEW }),
        (
            "skewed",
            query! { flags: EventFlags::CLOCK_SKEW | EventFlags::RECONCILED },
        ),
        (
            "skewed fresh",
            query! { flags: EventFlags::EXTRA_FIELDS | EventFlags::LEGACY_FORM },
        ),
        ("", query! { flags: EventFlags::RECONCILED }),
        ("gap", query! { steps: StepFlags::GAP }),
        (
            "retried gap",
            query! { steps: StepFlags::GAP | StepFlags::REOPENED },
        ),
        ("", query! { steps: StepFlags::UNEXPECTED_STEP }),
        (
            "skewed retried",
            query! { flags: EventFlags::CLOCK_SKEW, steps: StepFlags::REOPENED },
        ),
        (
            "retried",
            query! { statuses: ["Processing"], steps: StepFlags::REOPENED | StepFlags::GAP },
        ),
    ] {
        if suite.capabilities.rich_lists {
            let found = journal.all_pages(&query).await.join(" ");
            assert_eq!(found, expected, "{query:?}");
        } else {
            assert_unsupported(journal.list_tasks(&query).await);
        }
    }
}

pub(super) async fn stale_tasks_are_found(suite: Suite) {
    let journal = flagged_tasks(&suite).await;
    for (expected, query) in [
        ("", query! { stale_before_ms: NOW_MS }),
        ("skewed retried", query! { stale_before_ms: NOW_MS + 1 }),
        (
            "skewed retried fresh",
            query! { stale_before_ms: NOW_MS + 1001 },
        ),
        (
            "",
            query! { stale_before_ms: NOW_MS + 1, classes: [Class::Final] },
        ),
    ] {
        if suite.capabilities.rich_lists {
            let found = journal.all_pages(&query).await.join(" ");
            assert_eq!(found, expected, "{query:?}");
        } else {
            assert_unsupported(journal.list_tasks(&query).await);
        }
    }
}

pub(super) async fn every_class_has_its_ranks(suite: Suite) {
    let journal = suite.journal().await;
    for rank in 0..=5 {
        let sent = Event {
            rank,
            ..event(&rank.to_string(), "any", u64::from(rank) + 1)
        };
        journal.record(sent).await;
    }
    for (class, expected) in [
        (Class::Open, "0 1 2 3"),
        (Class::Retryable, "4"),
        (Class::Final, "5"),
    ] {
        let query = query! { classes: [class] };
        let found = journal.all_pages(&query).await.join(" ");
        assert_eq!(found, expected, "{class:?}");
    }
}

/// The ids of the tasks that a search finds, in order.
async fn found(journal: &Fixture, text: &str) -> String {
    let mut ids = journal.all_pages(&query! { text: text }).await;
    ids.sort();
    ids.join(" ")
}

/// A journal with tasks of these ids and descriptions.
async fn described(suite: &Suite, tasks: &[(&str, &str)]) -> Fixture {
    let journal = suite.journal().await;
    for (task, status_desc) in tasks {
        let sent = Event {
            status_desc: (*status_desc).into(),
            ..event(task, "Fail", 1)
        };
        journal.record(sent).await;
    }
    journal
}

pub(super) async fn a_search_text_has_no_wildcards(suite: Suite) {
    let tasks = [
        ("percent", "100% done"),
        ("under", "a_b"),
        ("back", r"C:\x"),
        ("plain", "ÄBC 'quoted'"),
    ];
    let journal = described(&suite, &tasks).await;
    for (text, expected) in [
        ("%", "percent"),
        ("_", "under"),
        ("\\", "back"),
        (r"c:\X", "back"),
        ("'", "plain"),
        ("Äb", "plain"),
        ("äb", ""),
        ("PLAI", "plain"),
        ("a%b", ""),
        ("a*b", ""),
        ("?", ""),
        ("upgrade", "back percent plain under"),
        ("", "back percent plain under"),
    ] {
        assert_eq!(found(&journal, text).await, expected, "{text}");
    }
}

pub(super) async fn a_text_with_nul_is_found(suite: Suite) {
    let tasks = [("nul", "Left\0Right"), ("none", "LeftRight")];
    let journal = described(&suite, &tasks).await;
    for (text, expected) in [
        ("right", "none nul"),
        ("left", "none nul"),
        ("\0", "nul"),
        ("T\0R", "nul"),
        ("t\0x", ""),
        ("left\0", "nul"),
        ("\0right", "nul"),
        ("leftr", "none"),
    ] {
        assert_eq!(found(&journal, text).await, expected, "{text:?}");
    }
}

pub(super) async fn a_long_text_is_searched_or_refused(suite: Suite) {
    let long = format!("{}!", "_".repeat(5000));
    let journal = described(&suite, &[("long", &long), ("short", "_")]).await;
    let whole = long.clone();
    for (text, expected) in [(&long[..4096], "long"), (&long[1000..], "long")] {
        assert_eq!(found(&journal, text).await, expected);
    }
    match journal.list_tasks(&query! { text: &*whole }).await {
        Ok(page) => assert_eq!(page.tasks.len(), 1),
        Err(error) => assert!(matches!(error, Error::Unsupported(_)), "{error:?}"),
    }
}
