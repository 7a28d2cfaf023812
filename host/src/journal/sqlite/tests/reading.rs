//! Pages, cursors and filters.

use super::*;

/// Follows `next` from page to page.
async fn all_pages(journal: &SqliteJournal, query: TaskQuery) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = journal
            .list_tasks(TaskQuery {
                cursor,
                ..query.clone()
            })
            .await
            .unwrap();
        found.extend(task_ids(&page).iter().map(ToString::to_string));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

/// Tasks `0` to `9`; every two changed at one instant.
async fn ten_tasks() -> Fixture {
    let journal = Fixture::new();
    for task in [3, 1, 4, 0, 5, 9, 2, 6, 8, 7] {
        journal
            .record(event(&task.to_string(), "Processing", NOW_MS + task / 2))
            .await;
    }
    journal
}

#[tokio::test]
async fn pages_follow_one_another_in_both_orders() {
    let journal = ten_tasks().await;
    let newest = "8 9 6 7 4 5 2 3 0 1".split(' ').collect::<Vec<_>>();
    let oldest = "0 1 2 3 4 5 6 7 8 9".split(' ').collect::<Vec<_>>();
    for limit in [1, 2, 3, 10, 500] {
        let query = TaskQuery {
            limit,
            ..all_tasks()
        };
        assert_eq!(all_pages(&journal, query.clone()).await, newest);
        let query = TaskQuery {
            order: TaskOrder::Oldest,
            ..query
        };
        assert_eq!(all_pages(&journal, query).await, oldest);
    }
}

#[tokio::test]
async fn the_limit_of_a_page_is_kept_within_its_own_limits() {
    let journal = ten_tasks().await;
    let page = |limit| {
        journal.list_tasks(TaskQuery {
            limit,
            ..all_tasks()
        })
    };
    assert_eq!(page(0).await.unwrap().tasks.len(), 1);
    assert_eq!(page(u32::MAX).await.unwrap().tasks.len(), 10);
}

#[tokio::test]
async fn a_cursor_stays_where_it_is_while_tasks_move() {
    let journal = ten_tasks().await;
    let first = journal
        .list_tasks(TaskQuery {
            limit: 3,
            ..all_tasks()
        })
        .await
        .unwrap();
    assert_eq!(task_ids(&first), ["8", "9", "6"]);
    // The last task of the page goes to the front, and a new one before it.
    journal.record(event("6", "Success", NOW_MS + 100)).await;
    journal
        .record(event("new", "Initializing", NOW_MS + 101))
        .await;
    let second = TaskQuery {
        cursor: first.next,
        ..all_tasks()
    };
    let second = journal.list_tasks(second).await.unwrap();
    assert_eq!(task_ids(&second), ["7", "4", "5", "2", "3", "0", "1"]);
}

#[tokio::test]
async fn a_cursor_is_short_whatever_the_ids() {
    let journal = Fixture::new();
    for task in ["b", "a", "c"] {
        journal
            .record(event(&task.repeat(20_000), "Success", 1))
            .await;
    }
    let query = TaskQuery {
        limit: 1,
        ..all_tasks()
    };
    let page = journal.list_tasks(query.clone()).await.unwrap();
    assert!(page.next.unwrap().len() < 100);
    let ids = all_pages(&journal, query).await;
    let first: Vec<_> = ids.iter().map(|id| &id[..1]).collect();
    assert_eq!(first, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_cursor_of_something_else_is_invalid() {
    let journal = ten_tasks().await;
    let page = journal
        .list_tasks(TaskQuery {
            limit: 3,
            ..all_tasks()
        })
        .await
        .unwrap();
    for cursor in [
        page.next,
        Some(String::new()),
        Some("'; DROP TABLE tasks; --".into()),
    ] {
        let query = TaskQuery {
            cursor: cursor.clone(),
            order: TaskOrder::Oldest,
            ..all_tasks()
        };
        let tasks = journal.list_tasks(query).await;
        assert!(matches!(tasks, Err(Error::InvalidCursor(_))), "{tasks:?}");
        let history = journal
            .list_history("a".into(), "b".into(), cursor.clone(), 1)
            .await;
        assert!(
            matches!(history, Err(Error::InvalidCursor(_))),
            "{history:?}"
        );
        let quarantine = journal.list_quarantine(cursor, 1).await;
        assert!(
            matches!(quarantine, Err(Error::InvalidCursor(_))),
            "{quarantine:?}"
        );
    }
}

#[tokio::test]
async fn every_filter_restricts() {
    let journal = Fixture::new();
    journal.record(event("a", "Processing", 10)).await;
    journal
        .record(Event {
            rank: 5,
            ..event("b", "Success", 20)
        })
        .await;
    journal
        .record(Event {
            task_type: "other".into(),
            ..event("c", "Processing", 30)
        })
        .await;
    journal
        .record(Event {
            app_id: "else".into(),
            rank: 4,
            ..event("d", "Fail", 40)
        })
        .await;
    let all = all_tasks;
    for (expected, query) in [
        (
            "a c",
            TaskQuery {
                status: Some("Processing".into()),
                ..all()
            },
        ),
        (
            "b d",
            TaskQuery {
                ranks: (4, 5),
                ..all()
            },
        ),
        (
            "",
            TaskQuery {
                ranks: (5, 4),
                ..all()
            },
        ),
        (
            "c",
            TaskQuery {
                task_type: Some("other".into()),
                ..all()
            },
        ),
        (
            "d",
            TaskQuery {
                app_id: Some("else".into()),
                ..all()
            },
        ),
        (
            "b c",
            TaskQuery {
                since_ms: Some(20),
                until_ms: Some(40),
                ..all()
            },
        ),
        (
            "",
            TaskQuery {
                since_ms: Some(u64::MAX),
                ..all()
            },
        ),
        (
            "a b c d",
            TaskQuery {
                until_ms: Some(u64::MAX),
                ..all()
            },
        ),
        (
            "d",
            TaskQuery {
                text: Some("LSE".into()),
                ..all()
            },
        ),
        (
            "a",
            TaskQuery {
                status: Some("Processing".into()),
                until_ms: Some(30),
                ..all()
            },
        ),
    ] {
        let query = TaskQuery {
            order: TaskOrder::Oldest,
            limit: 1,
            ..query
        };
        let found = all_pages(&journal, query.clone()).await.join(" ");
        assert_eq!(found, expected, "{query:?}");
    }
}

#[tokio::test]
async fn text_is_found_letter_for_letter() {
    let journal = Fixture::new();
    for (task, status_desc) in [
        ("percent", "100% done"),
        ("under", "a_b"),
        ("back", r"C:\x"),
        ("plain", "ÄBC 'quoted'"),
    ] {
        let event = Event {
            status_desc: status_desc.into(),
            ..event(task, "Fail", 1)
        };
        journal.record(event).await;
    }
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
        ("upgrade", "back percent plain under"),
        ("", "back percent plain under"),
    ] {
        let query = TaskQuery {
            text: Some(text.into()),
            ..all_tasks()
        };
        let page = journal.list_tasks(query).await.unwrap();
        assert_eq!(task_ids(&page).join(" "), expected, "{text}");
    }
}

#[tokio::test]
async fn a_text_too_long_to_look_for_is_refused() {
    let journal = Fixture::new();
    let look_for = |bytes| TaskQuery {
        text: Some("_".repeat(bytes)),
        ..all_tasks()
    };
    assert!(journal.list_tasks(look_for(4096)).await.is_ok());
    let refused = journal.list_tasks(look_for(4097)).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
}

#[tokio::test]
async fn pages_stay_near_a_mebibyte() {
    let journal = Fixture::new();
    for at in 0..6 {
        let large = "x".repeat(400_000);
        let body = large.clone().into_bytes();
        let task = format!("task-{at}");
        journal
            .record(Event {
                status_desc: large,
                body,
                ..event(&task, "Fail", at)
            })
            .await;
        journal
            .quarantine(reject(&[0; 400_000]), None)
            .await
            .unwrap();
    }
    let tasks = journal.list_tasks(all_tasks()).await.unwrap();
    assert_eq!((tasks.tasks.len(), tasks.next.is_some()), (3, true));
    let events = journal.follow(0, 500, 0).await.unwrap();
    assert_eq!(events.len(), 2);
    let rejects = journal.list_quarantine(None, 500).await.unwrap();
    assert_eq!((rejects.rejects.len(), rejects.next.is_some()), (3, true));
    assert_eq!(all_pages(&journal, all_tasks()).await.len(), 6);
}

#[tokio::test]
async fn an_item_beyond_the_size_of_a_page_is_a_page() {
    let journal = Fixture::new();
    for at in 0..2 {
        let event = Event {
            body: vec![b' '; 3_000_000],
            ..event("task", "Fail", at)
        };
        journal.record(event).await;
    }
    assert_eq!(journal.follow(0, 500, 0).await.unwrap().len(), 1);
    assert_eq!(journal.history("task").await.len(), 1);
}

#[tokio::test]
async fn a_history_is_paged_with_the_status_before_each_page() {
    let journal = Fixture::new();
    for at in [3, 0, 2, 4, 1] {
        journal
            .record(event("task", &format!("status-{at}"), at))
            .await;
    }
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = journal
            .list_history("app".into(), "task".into(), cursor, 2)
            .await
            .unwrap();
        let statuses: Vec<_> = page.events.iter().map(|e| e.event.status.clone()).collect();
        seen.push((page.previous_status, statuses.join(" ")));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let page =
        |previous: Option<&str>, statuses: &str| (previous.map(str::to_owned), statuses.to_owned());
    let expected = [
        page(None, "status-0 status-1"),
        page(Some("status-1"), "status-2 status-3"),
        page(Some("status-3"), "status-4"),
    ];
    assert_eq!(seen, expected);
    let unknown = journal
        .list_history("app".into(), "none".into(), None, 2)
        .await
        .unwrap();
    assert!(unknown.events.is_empty() && unknown.next.is_none());
}

#[tokio::test]
async fn a_trail_has_the_last_64_steps() {
    let journal = Fixture::new();
    for at in (0..70).rev() {
        journal.record(event("task", "Processing", at)).await;
    }
    let trail = journal.task("task").await.trail;
    let times: Vec<u64> = trail.iter().map(|step| step.occurred_at_ms).collect();
    assert_eq!(times, (6..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn request_ids_too_long_to_list_stay_in_their_event() {
    let journal = Fixture::new();
    let long = "r".repeat(2000);
    let first = Event {
        request_id: Some(long.clone()),
        ..event("task", "Fail", 1)
    };
    journal.record(first.clone()).await;
    journal
        .append(
            Event {
                request_id: Some("s".repeat(2000)),
                ..first
            },
            None,
        )
        .await
        .unwrap();
    assert!(journal.task("task").await.request_ids.is_empty());
    let stored = journal.history("task").await.remove(0);
    assert_eq!(
        (stored.request_ids, stored.event.request_id),
        (vec![], Some(long))
    );
}

#[tokio::test]
async fn following_waits_for_the_next_event() {
    let journal = Fixture::new();
    assert!(journal.follow(0, 10, 0).await.unwrap().is_empty());
    let follow = journal.follow(0, 10, u32::MAX);
    let (followed, ()) = tokio::join!(follow, journal.record(event("task", "Success", 1)));
    assert_eq!(followed.unwrap()[0].seq, 1);
    // What is there already is not waited for.
    assert_eq!(journal.follow(0, 10, u32::MAX).await.unwrap().len(), 1);
    assert!(journal.follow(1, 10, 0).await.unwrap().is_empty());
    assert!(journal.follow(u64::MAX, 10, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_follower_sees_every_event_once() {
    let journal = Arc::new(Fixture::new());
    let writer = journal.clone();
    let writing = tokio::spawn(async move {
        for at in 0..300 {
            writer
                .append(event("task", "Processing", at), None)
                .await
                .unwrap();
        }
    });
    let mut seqs = Vec::new();
    while seqs.len() < 300 {
        let after = seqs.last().copied().unwrap_or(0);
        let events = journal.follow(after, 7, u32::MAX).await.unwrap();
        seqs.extend(events.iter().map(|event| event.seq));
    }
    writing.await.unwrap();
    assert_eq!(seqs, (1..=300).collect::<Vec<_>>());
}

#[tokio::test]
async fn closing_ends_the_wait_of_followers() {
    let journal = Arc::new(Fixture::new());
    let follower = journal.clone();
    let following = tokio::spawn(async move { follower.follow(0, 10, u32::MAX).await });
    journal.close();
    assert!(following.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn the_summary_counts_tasks_by_status_and_duplicates_as_arrivals() {
    let journal = Fixture::new();
    let empty = journal.summarize(NOW_MS).await.unwrap();
    assert!(empty.statuses.is_empty() && empty.last_received_at_ms.is_none());
    for (task, status, rank) in [
        ("a", "Success", 5),
        ("b", "Waitting", 1),
        ("c", "Success", 5),
    ] {
        journal
            .record(Event {
                rank,
                ..event(task, status, 1)
            })
            .await;
    }
    let again = Event {
        rank: 5,
        received_at_ms: NOW_MS + 7,
        ..event("a", "Success", 1)
    };
    journal.append(again, None).await.unwrap();
    let journal = journal.reopen();
    let summary = journal.summarize(NOW_MS + 1).await.unwrap();
    let counts: Vec<_> = summary
        .statuses
        .iter()
        .map(|s| (s.status.as_str(), s.rank, s.tasks))
        .collect();
    assert_eq!(counts, [("Waitting", 1, 1), ("Success", 5, 2)]);
    assert_eq!(summary.last_received_at_ms, Some(NOW_MS + 7));
    assert_eq!(summary.stale, Some(1), "what is over is never stale");
    let summary = journal.summarize(NOW_MS).await.unwrap();
    assert_eq!(summary.stale, Some(0), "an event arrived then");
}
