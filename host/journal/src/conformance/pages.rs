//! Limits and cursors of all lists.

use batchtask_guest::journal::TASKS_COUNTED_MAX;

use super::fixture::{
    Fixture, NOW_MS, Suite, all_tasks, assert_invalid_cursor, assert_unsupported, event, reject,
    task_ids,
};
use crate::{Appended, Class, Entry, Event, Reject, TaskOrder, TaskQuery, TaskSort};

/// A journal with the tasks `0` to `9`. If the journal orders tasks that changed
/// at the same time, there are pairs of such tasks.
async fn ten_tasks(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    for task in [3, 1, 4, 0, 5, 9, 2, 6, 8, 7] {
        let sent = event(&task.to_string(), "Processing", instant(suite, task));
        journal.record(sent).await;
    }
    journal
}

/// When this task of the ten changed.
fn instant(suite: &Suite, task: u64) -> u64 {
    if suite.capabilities.ordered_ties {
        NOW_MS + task / 2
    } else {
        NOW_MS + task
    }
}

/// The ids of all ten tasks, newest first.
fn newest_first(suite: &Suite) -> Vec<&'static str> {
    let ids = if suite.capabilities.ordered_ties {
        "8 9 6 7 4 5 2 3 0 1"
    } else {
        "9 8 7 6 5 4 3 2 1 0"
    };
    ids.split(' ').collect()
}

pub(super) async fn pages_follow_one_another_in_both_orders(suite: Suite) {
    let journal = ten_tasks(&suite).await;
    let oldest: Vec<&str> = "0 1 2 3 4 5 6 7 8 9".split(' ').collect();
    for limit in [1, 2, 3, 9, 10, 500] {
        for (order, expected) in [
            (TaskOrder::Descending, newest_first(&suite)),
            (TaskOrder::Ascending, oldest.clone()),
        ] {
            let query = TaskQuery {
                order,
                limit,
                ..all_tasks()
            };
            assert_eq!(journal.all_pages(&query).await, expected, "{query:?}");
            assert_eq!(journal.all_pages_back(&query).await, expected, "{query:?}");
        }
    }
}

pub(super) async fn a_previous_page_is_the_page_before(suite: Suite) {
    let journal = ten_tasks(&suite).await;
    let query = |cursor| TaskQuery {
        limit: 3,
        cursor,
        ..all_tasks()
    };
    let first = journal.tasks(&query(None)).await;
    assert_eq!(first.previous, None);
    let second = journal.tasks(&query(first.next.clone())).await;
    let third = journal.tasks(&query(second.next.clone())).await;
    let back = journal.tasks(&query(third.previous.clone())).await;
    assert_eq!(task_ids(&back), task_ids(&second));
    let again = journal.tasks(&query(back.next)).await;
    assert_eq!(task_ids(&again), task_ids(&third));
    // A task that moved to the front is on the page before the first one.
    let all = newest_first(&suite);
    journal.record(event(all[9], "Success", NOW_MS + 100)).await;
    let front = journal.tasks(&query(second.previous)).await;
    assert_eq!(task_ids(&front), task_ids(&first));
    let moved = journal.tasks(&query(front.previous)).await;
    assert_eq!(task_ids(&moved), [all[9]]);
    assert_eq!(moved.previous, None);
}

/// A journal with tasks whose order differs for each property.
async fn sorted_tasks(suite: &Suite) -> Fixture {
    let journal = suite.journal().await;
    for (app_id, task_id, status, rank, first, last) in [
        ("app2", "d", "Success", 5, 1, 60),
        ("app1", "e", "Fail", 4, 5, 40),
        ("app2", "a", "Processing", 2, 3, 50),
        ("app1", "c", "PartialSuccess", 4, 2, 30),
        ("app1", "b", "Success", 5, 4, 10),
    ] {
        let sent = Event {
            app_id: app_id.into(),
            ..event(task_id, "Waitting", first)
        };
        journal.record(sent).await;
        let sent = Event {
            app_id: app_id.into(),
            rank,
            ..event(task_id, status, last)
        };
        journal.record(sent).await;
    }
    journal
}

pub(super) async fn every_sort_holds_on_all_pages(suite: Suite) {
    let journal = sorted_tasks(&suite).await;
    for (sort, expected) in [
        (TaskSort::Changed, "b c e a d"),
        (TaskSort::FirstSeen, "d c a b e"),
        (TaskSort::Status, "a e c d b"),
        (TaskSort::Application, "e c b d a"),
        (TaskSort::Task, "a b c d e"),
    ] {
        let query = TaskQuery {
            sort,
            order: TaskOrder::Ascending,
            ..all_tasks()
        };
        if !suite.capabilities.rich_lists && sort != TaskSort::Changed {
            assert_unsupported(journal.list_tasks(&query).await);
            continue;
        }
        let expected: Vec<_> = expected.split(' ').collect();
        let reversed: Vec<_> = expected.iter().copied().rev().collect();
        for limit in [1, 2, 5] {
            let ascending = TaskQuery {
                limit,
                ..query.clone()
            };
            let descending = TaskQuery {
                order: TaskOrder::Descending,
                ..ascending.clone()
            };
            for (query, expected) in [(ascending, &expected), (descending, &reversed)] {
                assert_eq!(journal.all_pages(&query).await, *expected, "{query:?}");
                assert_eq!(journal.all_pages_back(&query).await, *expected, "{query:?}");
            }
        }
    }
}

pub(super) async fn tasks_are_counted_up_to_a_bound(suite: Suite) {
    if !suite.capabilities.rich_lists {
        return;
    }
    let journal = ten_tasks(&suite).await;
    journal.record(event("10", "Success", NOW_MS)).await;
    let query = TaskQuery {
        statuses: vec!["Processing".into()],
        limit: 3,
        ..all_tasks()
    };
    assert!(journal.tasks(&query).await.count.is_none());
    let counted = TaskQuery {
        count: true,
        ..query
    };
    let first = journal.tasks(&counted).await;
    let second = TaskQuery {
        cursor: first.next,
        ..counted
    };
    let second = journal.tasks(&second).await;
    for count in [first.count, second.count] {
        let count = count.expect("counted");
        assert_eq!((count.tasks, count.more), (10, false));
    }
    let max = u64::from(TASKS_COUNTED_MAX);
    let batch = (11..max).map(|at| Entry::Event(event(&at.to_string(), "any", at), None));
    journal.commit_all(batch.collect()).await;
    let all = TaskQuery {
        count: true,
        limit: 1,
        ..all_tasks()
    };
    for more in [false, true] {
        let count = journal.tasks(&all).await.count.expect("counted");
        assert_eq!((count.tasks, count.more), (max, more));
        journal.append(event("one more", "any", 1)).await;
    }
}

pub(super) async fn the_limit_of_a_page_is_clamped(suite: Suite) {
    let journal = ten_tasks(&suite).await;
    for (limit, found) in [(1, 1), (4, 4), (u32::MAX, 10)] {
        let query = TaskQuery {
            limit,
            ..all_tasks()
        };
        let page = journal.tasks(&query).await;
        assert_eq!(page.tasks.len(), found, "{limit}");
        assert_eq!(page.next.is_some(), found < 10);
    }
}

pub(super) async fn a_page_has_at_most_500_items(suite: Suite) {
    let journal = suite.journal().await;
    let batch = (0..510).map(|at| Entry::Event(event(&at.to_string(), "any", at), None));
    journal.commit_all(batch.collect()).await;
    let batch = (0..510).map(|at| Entry::Event(event("one", "any", at), None));
    journal.commit_all(batch.collect()).await;
    assert_eq!(journal.tasks(&all_tasks()).await.tasks.len(), 500);
    let history = journal.list_history("app", "one", None, 500).await.unwrap();
    assert_eq!((history.events.len(), history.next.is_some()), (500, true));
    if suite.capabilities.feed {
        let events = journal.events_after(0, u32::MAX).await.unwrap();
        assert_eq!(events.len(), 500);
    }
}

pub(super) async fn a_cursor_stays_where_it_is_while_tasks_move(suite: Suite) {
    let journal = ten_tasks(&suite).await;
    let query = TaskQuery {
        limit: 3,
        ..all_tasks()
    };
    let all = newest_first(&suite);
    let first = journal.tasks(&query).await;
    assert_eq!(task_ids(&first), all[..3]);
    // The last task of the page moves to the front, and a new task appears before it.
    journal.record(event(all[2], "Success", NOW_MS + 100)).await;
    let new = event("new", "Initializing", NOW_MS + 101);
    journal.record(new).await;
    let second = TaskQuery {
        cursor: first.next,
        ..all_tasks()
    };
    let second = journal.tasks(&second).await;
    assert_eq!(task_ids(&second), all[3..]);
}

pub(super) async fn filters_hold_on_every_page(suite: Suite) {
    let journal = suite.journal().await;
    for task in 0..30 {
        let is_final = task % 3 == 0;
        let sent = Event {
            rank: if is_final { 5 } else { 2 },
            status_desc: (if is_final { "needle" } else { "hay" }).into(),
            ..event(&format!("{task:02}"), "any", task)
        };
        journal.record(sent).await;
    }
    let expected: Vec<String> = (0..30)
        .step_by(3)
        .map(|task| format!("{task:02}"))
        .collect();
    let by_class = TaskQuery {
        classes: vec![Class::Final],
        ..all_tasks()
    };
    let by_text = TaskQuery {
        text: Some("NEEDLE".into()),
        ..all_tasks()
    };
    let by_time = TaskQuery {
        since_ms: Some(0),
        until_ms: Some(28),
        ..by_class.clone()
    };
    for query in [by_class, by_text, by_time] {
        for limit in [1, 3, 10] {
            let query = TaskQuery {
                order: TaskOrder::Ascending,
                limit,
                ..query.clone()
            };
            assert_eq!(journal.all_pages(&query).await, expected, "{query:?}");
        }
    }
}

pub(super) async fn a_cursor_is_short_whatever_the_ids(suite: Suite) {
    let journal = suite.journal().await;
    for (at, task) in ["a", "b", "c"].into_iter().enumerate() {
        let sent = event(&task.repeat(20_000), "Success", at as u64);
        journal.record(sent).await;
    }
    let query = TaskQuery {
        order: TaskOrder::Ascending,
        limit: 1,
        ..all_tasks()
    };
    let page = journal.tasks(&query).await;
    assert!(page.next.unwrap().len() < 200);
    let ids = journal.all_pages(&query).await;
    let first: Vec<_> = ids.iter().map(|id| &id[..1]).collect();
    assert_eq!(first, ["a", "b", "c"]);
}

pub(super) async fn a_cursor_of_another_list_is_invalid(suite: Suite) {
    let journal = ten_tasks(&suite).await;
    for at in 0..3 {
        journal.record(event("0", "Fail", at)).await;
        let sent = Reject {
            received_at_ms: NOW_MS + at,
            ..reject(b"body")
        };
        assert_eq!(journal.quarantine(sent).await, Appended::Recorded);
    }
    let newest = TaskQuery {
        limit: 1,
        ..all_tasks()
    };
    let oldest = TaskQuery {
        order: TaskOrder::Ascending,
        ..newest.clone()
    };
    // One cursor of each list.
    let of_tasks = [
        journal.tasks(&newest).await.next,
        journal.tasks(&oldest).await.next,
    ];
    let history = journal.list_history("app", "0", None, 1).await.unwrap();
    let quarantine = journal.list_quarantine(None, 1).await.unwrap();
    let cursors = [
        of_tasks[0].as_deref(),
        of_tasks[1].as_deref(),
        history.next.as_deref(),
        quarantine.next.as_deref(),
        Some(""),
        Some("'; DROP TABLE tasks; --"),
        Some("1n.é"),
    ];
    for (place, cursor) in cursors.into_iter().enumerate() {
        assert!(cursor.is_some(), "list {place} has another page");
        let query = |order| TaskQuery {
            order,
            cursor: cursor.map(str::to_owned),
            ..all_tasks()
        };
        if place != 0 {
            let tasks = journal.list_tasks(&query(TaskOrder::Descending)).await;
            assert_invalid_cursor(tasks);
        }
        if place != 1 {
            let tasks = journal.list_tasks(&query(TaskOrder::Ascending)).await;
            assert_invalid_cursor(tasks);
        }
        if place != 2 {
            let history = journal.list_history("app", "0", cursor, 1).await;
            assert_invalid_cursor(history);
        }
        if place != 3 {
            let quarantine = journal.list_quarantine(cursor, 1).await;
            assert_invalid_cursor(quarantine);
        }
    }
}

pub(super) async fn pages_stay_near_a_mebibyte(suite: Suite) {
    let journal = suite.journal().await;
    // Four texts of this length exceed a mebibyte.
    const LENGTH: usize = 300_000;
    for at in 0..7 {
        let described = Event {
            status_desc: "x".repeat(LENGTH),
            ..event(&at.to_string(), "Fail", at)
        };
        journal.record(described).await;
        let large = Event {
            body: vec![b' '; LENGTH],
            ..event("one", "Fail", at)
        };
        journal.record(large).await;
        let sent = Reject {
            received_at_ms: NOW_MS + at,
            ..reject(&[0; LENGTH])
        };
        assert_eq!(journal.quarantine(sent).await, Appended::Recorded);
    }
    let described = TaskQuery {
        statuses: vec!["Fail".into()],
        order: TaskOrder::Ascending,
        text: Some("x".into()),
        ..all_tasks()
    };
    let tasks = journal.tasks(&described).await;
    assert_eq!((tasks.tasks.len(), tasks.next.is_some()), (4, true));
    assert_eq!(journal.all_pages(&described).await.len(), 7);
    let history = journal.list_history("app", "one", None, 500).await.unwrap();
    assert_eq!((history.events.len(), history.next.is_some()), (4, true));
    let rejects = journal.list_quarantine(None, 500).await.unwrap();
    assert_eq!((rejects.rejects.len(), rejects.next.is_some()), (4, true));
    if suite.capabilities.feed {
        let events = journal.events_after(0, 500).await.unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!(journal.feed(500).await.len(), 14);
    }
}

pub(super) async fn an_item_larger_than_a_page_has_a_page_of_its_own(suite: Suite) {
    const LENGTH: usize = 3_000_000;
    if suite.capabilities.item_bytes_max < LENGTH {
        return;
    }
    let journal = suite.journal().await;
    for at in 0..2 {
        let large = Event {
            body: vec![b' '; LENGTH],
            ..event("task", "Fail", at)
        };
        journal.record(large).await;
    }
    let history = journal
        .list_history("app", "task", None, 500)
        .await
        .unwrap();
    assert_eq!((history.events.len(), history.next.is_some()), (1, true));
    if suite.capabilities.feed {
        let events = journal.events_after(0, 500).await.unwrap();
        assert_eq!(events.len(), 1);
    }
}
