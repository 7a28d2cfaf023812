//! The removal of old tasks while notifications arrive.

use std::time::Instant;

use super::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// An event with a final status, which arrives at this time.
fn last(task_id: &str, at: u64, received_at_ms: u64) -> Event {
    Event {
        rank: 5,
        received_at_ms,
        ..event(task_id, "Success", at)
    }
}

fn keeping_days(days: u64) -> Options {
    Options {
        keep: Some(Duration::from_secs(days * 24 * 60 * 60)),
        ..Options::default()
    }
}

/// Calls `maintain` until there is nothing more to do.
async fn maintain(journal: &Fixture) {
    let started = Instant::now();
    while journal.maintain().await {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Lets two days pass on the steady clock, until it follows the host's clock.
async fn pass_two_days(journal: &Fixture) {
    for _ in 0..2 {
        journal.pass(Duration::from_secs(25 * 3600));
        // More than the time between two steps.
        tokio::time::sleep(Duration::from_millis(60)).await;
        maintain(journal).await;
    }
}

fn host_now_ms() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

#[tokio::test]
async fn old_tasks_are_removed_by_maintenance() {
    let journal = Fixture::with(keeping_days(2));
    let now_ms = host_now_ms();
    for number in 0..500 {
        let received_at_ms = if number % 2 == 0 {
            now_ms - 3 * DAY_MS
        } else {
            now_ms
        };
        let task = number.to_string();
        journal
            .commit(vec![Entry::Event(
                last(&task, number, received_at_ms),
                None,
            )])
            .await
            .unwrap();
    }
    pass_two_days(&journal).await;
    let pruned = "batchtask_journal_pruned_events_total";
    assert_eq!(journal.measure(pruned), 250);
    assert!(journal.task("0").await.is_none());
    assert!(journal.task("1").await.is_some());
    let oldest = "batchtask_journal_oldest_event_timestamp_seconds";
    assert_eq!(journal.measure(oldest), now_ms / 1000);
    let journal = journal.reopen();
    assert_eq!(journal.measure(pruned), 250);
}

/// The numbers in the indexes of the schema must be those of the contract.
#[test]
fn the_schema_knows_final_tasks_and_small_rejects() {
    assert_eq!(
        batchtask_guest::journal::ranks(batchtask_journal::Class::Final),
        5..=5
    );
    assert_eq!(batchtask_journal::SMALL_REJECT_BYTES_MAX, 16_384);
}

/// Nothing is removed too early if the host's clock is wrong for a while.
#[tokio::test]
async fn a_clock_that_jumps_ahead_removes_nothing() {
    let journal = Fixture::with(keeping_days(2));
    let real_ms = host_now_ms() - 30 * DAY_MS;
    let sent = last("task", 1, real_ms);
    journal.append(sent.clone()).await.unwrap();
    maintain(&journal).await;
    assert!(journal.task("task").await.is_some());
    // The host's clock stays ahead, so it is right and the steady clock is late.
    pass_two_days(&journal).await;
    assert!(journal.task("task").await.is_none());
    assert_eq!(journal.append(sent).await.unwrap(), Appended::Duplicate);
}

/// A step is short, for many events as well as for large ones.
#[tokio::test]
async fn a_step_removes_little() {
    let journal = Fixture::new();
    let large = |at| Event {
        body: vec![b' '; 1_000_000],
        ..last("large", at, 1)
    };
    for at in 0..10 {
        journal.record(large(at)).await;
    }
    let entries = (0..1000).map(|at| Entry::Event(last("many", at, 2), None));
    journal.commit(entries.collect()).await.unwrap();
    let mut events = 0;
    for step in 0.. {
        let task = journal.task("many").await;
        let pruned = journal.prune(10).await.unwrap();
        assert!(pruned.events <= 200, "{pruned:?}");
        events += pruned.events;
        if step == 0 {
            assert!((1..10).contains(&pruned.events), "{pruned:?}");
        }
        if !pruned.more {
            break;
        }
        // Between two steps the state is unchanged, and the number of events is correct.
        if let Some(task) = task {
            assert_eq!(
                (task.status.as_str(), task.occurred_at_ms),
                ("Success", 999)
            );
        }
        if let Some(task) = journal.task("many").await {
            let left = journal.events_after(0, 500).await.unwrap();
            let left = left.iter().filter(|stored| stored.event.task_id == "many");
            assert!(left.count() as u64 <= task.events);
        }
    }
    assert_eq!(events, 1010);
    assert_eq!(*journal.last_seq().borrow(), 1010);
}

/// The digests are kept for two days, and not forever.
#[tokio::test]
async fn the_digests_of_pruned_events_are_forgotten_after_two_days() {
    let journal = Fixture::new();
    let known = || {
        let sql = "SELECT count(*) FROM pruned";
        journal.hook(|connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    for (task, received_at_ms, expected) in [
        ("a", NOW_MS, 1),
        ("b", NOW_MS + 2 * DAY_MS, 2),
        ("c", NOW_MS + 2 * DAY_MS + 1, 2),
    ] {
        journal.pass(Duration::from_secs(2 * 86_400));
        journal.record(last(task, 1, received_at_ms)).await;
        journal.prune(u64::MAX).await.unwrap();
        assert_eq!(known().unwrap(), expected, "{task}");
    }
    // Every metric is available from the start.
    for name in [
        "batchtask_journal_size_bytes",
        "batchtask_journal_wal_bytes",
        "batchtask_journal_disk_free_bytes",
    ] {
        assert!(journal.measure(name) > 0, "{name}");
    }
}
