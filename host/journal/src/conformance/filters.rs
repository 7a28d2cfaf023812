//! Which tasks a list contains.

use super::fixture::{Fixture, Suite, all_tasks, event};
use crate::{Class, Error, Event, TaskOrder, TaskQuery};

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

/// Makes a query with these filters.
macro_rules! query {
    ($($member:ident: $value:expr),* $(,)?) => {
        TaskQuery {
            $($member: Some($value.into()),)*
            order: TaskOrder::Oldest,
            limit: 1,
            ..all_tasks()
        }
    };
}

pub(super) async fn every_filter_restricts(suite: Suite) {
    let journal = four_tasks(&suite).await;
    for (expected, query) in [
        ("a b c d", query! {}),
        ("a c", query! { status: "Processing" }),
        ("", query! { status: "processing" }),
        ("", query! { status: "Waitting" }),
        ("c", query! { task_type: "other" }),
        ("", query! { task_type: "" }),
        ("d", query! { app_id: "else" }),
        ("b c", query! { since_ms: 20_u64, until_ms: 40_u64 }),
        ("", query! { since_ms: u64::MAX }),
        ("a b c d", query! { until_ms: u64::MAX }),
        ("", query! { until_ms: 10_u64 }),
        ("d", query! { text: "LSE" }),
        ("d", query! { text: "devices FAILED" }),
        ("a", query! { status: "Processing", until_ms: 30_u64 }),
        ("c", query! { status: "Processing", text: "other" }),
        ("b", query! { app_id: "app", class: Class::Final }),
        ("", query! { app_id: "else", class: Class::Final }),
        (
            "a",
            query! { class: Class::Open, task_type: "softwareUpgrade" },
        ),
    ] {
        let found = journal.all_pages(&query).await.join(" ");
        assert_eq!(found, expected, "{query:?}");
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
        let query = query! { class: class };
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
    match journal.list_tasks(&query! { text: whole }).await {
        Ok(page) => assert_eq!(page.tasks.len(), 1),
        Err(error) => assert!(matches!(error, Error::Unsupported(_)), "{error:?}"),
    }
}
