//! The events of one task, in order of occurrence.

use super::fixture::{Fixture, NOW_MS, Suite, event};
use crate::{Event, HistoryPage};

async fn page(journal: &Fixture, cursor: Option<&str>, limit: u32) -> HistoryPage {
    let page = journal.list_history("app", "task", cursor, limit).await;
    page.expect("readable")
}

fn statuses(page: &HistoryPage) -> String {
    let statuses = page
        .events
        .iter()
        .map(|stored| stored.event.status.as_str());
    statuses.collect::<Vec<_>>().join(" ")
}

/// A task with the statuses `0` to `4`, in this order.
async fn five_events(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    for at in [3, 0, 2, 4, 1] {
        let sent = event("task", &at.to_string(), NOW_MS + at);
        journal.record(sent).await;
        // Events of another task must not appear.
        journal.record(event("other", "Fail", NOW_MS + at)).await;
    }
    journal
}

pub(super) async fn a_history_is_paged_with_the_status_before_each_page(suite: Suite) {
    let journal = five_events(&suite).await;
    let mut cursor = None;
    for (previous, expected) in [(None, "0 1"), (Some("1"), "2 3"), (Some("3"), "4")] {
        let page = page(&journal, cursor.as_deref(), 2).await;
        assert_eq!(statuses(&page), expected);
        assert_eq!(page.previous_status.as_deref(), previous);
        cursor = page.next;
    }
    assert!(cursor.is_none());
    assert_eq!(statuses(&page(&journal, None, 500).await), "0 1 2 3 4");
}

pub(super) async fn a_history_cursor_stays_where_it_is(suite: Suite) {
    let journal = five_events(&suite).await;
    let first = page(&journal, None, 2).await;
    journal.record(event("task", "before", NOW_MS - 1)).await;
    // At the same time as status 1, with a greater rank.
    let between = Event {
        rank: 3,
        ..event("task", "between", NOW_MS + 1)
    };
    journal.record(between).await;
    let second = page(&journal, first.next.as_deref(), 2).await;
    assert_eq!(statuses(&second), "between 2");
    assert_eq!(second.previous_status.as_deref(), Some("1"));
}

pub(super) async fn a_late_event_is_marked(suite: Suite) {
    let journal = suite.journal().await;
    for (arrival, at) in [(0, 10), (1, 30), (2, 20), (3, 40)] {
        let sent = Event {
            received_at_ms: NOW_MS + arrival,
            ..event("task", &at.to_string(), at)
        };
        journal.record(sent).await;
    }
    let history = journal.history("task").await;
    let late: Vec<bool> = history.iter().map(|stored| stored.late).collect();
    assert_eq!(late, [false, true, false, false]);
}

pub(super) async fn the_history_of_an_unknown_task_is_empty(suite: Suite) {
    let journal = five_events(&suite).await;
    let page = journal.list_history("app", "none", None, 2).await.unwrap();
    assert!(page.events.is_empty());
    assert_eq!((page.previous_status, page.next), (None, None));
}

pub(super) async fn a_trail_has_the_last_64_steps(suite: Suite) {
    let journal = suite.journal().await;
    for at in (0..70).rev() {
        journal.record(event("task", "Processing", at)).await;
    }
    let trail = journal.task("task").await.trail;
    let times: Vec<u64> = trail.iter().map(|step| step.occurred_at_ms).collect();
    assert_eq!(times, (6..70).collect::<Vec<_>>());
}

pub(super) async fn a_trail_of_long_statuses_is_cut(suite: Suite) {
    let journal = suite.journal().await;
    for at in 0..20 {
        let status = at.to_string().repeat(2000);
        journal.record(event("task", &status, at)).await;
    }
    let trail = journal.task("task").await.trail;
    let times: Vec<u64> = trail.iter().map(|step| step.occurred_at_ms).collect();
    // It may be cut at any length, but its last step is the state.
    let first = times.first().copied().expect("a step");
    assert_eq!(times, (first..20).collect::<Vec<_>>());
}
