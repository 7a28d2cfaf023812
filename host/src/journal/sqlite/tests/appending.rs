//! What an append does, one at a time and many at once.

use std::sync::Mutex;
use std::time::Duration;

use super::*;

#[tokio::test]
async fn an_event_is_recorded_word_for_word() {
    let journal = Fixture::new();
    let sent = Event {
        event_time: Some("20231114T221320Z".into()),
        event_time_ms: Some("2023-11-14T22:13:20.000Z".into()),
        request_id: Some("request".into()),
        signature: Some("matched".into()),
        status_desc: "nul \0 and 日本".into(),
        oddities: EventFlags::LEGACY_FORM | EventFlags::EXTRA_FIELDS,
        body: vec![0, 159, 146, 150],
        ..event("task", "Processing", NOW_MS)
    };
    journal.record(sent.clone()).await;
    let kept = journal.history("task").await.remove(0);
    assert_eq!(format!("{:?}", kept.event), format!("{sent:?}"));
    assert_eq!((kept.seq, kept.duplicates, kept.late), (1, 0, false));
    assert_eq!(kept.request_ids, ["request"]);
}

#[tokio::test]
async fn the_same_digest_is_a_duplicate_and_its_request_id_is_kept() {
    let journal = Fixture::new();
    for (request_id, outcome) in [
        ("b", Appended::Recorded),
        ("a", Appended::Duplicate),
        ("b", Appended::Duplicate),
        ("a", Appended::Duplicate),
    ] {
        let again = Event {
            request_id: Some(request_id.into()),
            ..event("task", "Success", NOW_MS)
        };
        assert_eq!(journal.append(again, None).await.unwrap(), outcome);
    }
    let kept = journal.history("task").await.remove(0);
    assert_eq!(
        (kept.duplicates, kept.request_ids),
        (3, vec!["a".into(), "b".to_owned()])
    );
    let task = journal.task("task").await;
    assert_eq!((task.events, task.duplicates), (1, 3));
    assert_eq!(task.request_ids, ["a", "b"]);
}

#[tokio::test]
async fn a_late_event_goes_to_the_history_and_changes_no_state() {
    let journal = Fixture::new();
    journal.record(event("task", "Success", NOW_MS)).await;
    journal
        .record(event("task", "Processing", NOW_MS - 1))
        .await;
    let task = journal.task("task").await;
    assert_eq!((task.status.as_str(), task.events), ("Success", 2));
    assert_eq!(task.first_occurred_at_ms, NOW_MS - 1);
    let late: Vec<bool> = journal
        .history("task")
        .await
        .iter()
        .map(|event| event.late)
        .collect();
    assert_eq!(late, [true, false]);
}

#[tokio::test]
async fn rank_then_digest_decide_within_an_instant() {
    let journal = Fixture::new();
    let of_rank = |status, rank| Event {
        rank,
        ..event("task", status, NOW_MS)
    };
    journal.record(of_rank("Success", 5)).await;
    journal.record(of_rank("Processing", 2)).await;
    assert_eq!(journal.task("task").await.status, "Success");
    let (least, greatest) = (vec![0; 32], vec![255; 32]);
    journal
        .record(Event {
            digest: least,
            ..of_rank("Least", 5)
        })
        .await;
    assert_eq!(journal.task("task").await.status, "Success");
    journal
        .record(Event {
            digest: greatest,
            ..of_rank("Greatest", 5)
        })
        .await;
    assert_eq!(journal.task("task").await.status, "Greatest");
}

#[tokio::test]
async fn tasks_of_two_applications_are_two_tasks() {
    let journal = Fixture::new();
    journal.record(event("task", "Success", NOW_MS)).await;
    let other = Event {
        app_id: "other".into(),
        digest: vec![1; 32],
        ..event("task", "Fail", 1)
    };
    journal.record(other).await;
    assert_eq!(journal.task("task").await.status, "Success");
    assert!(
        journal
            .find_task("none".into(), "task".into())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_oddities_of_a_task_are_those_of_all_its_events() {
    let journal = Fixture::new();
    for (at, oddities) in [(2, EventFlags::LEGACY_FORM), (1, EventFlags::UNKNOWN_TYPE)] {
        journal
            .record(Event {
                oddities,
                ..event("task", "Success", at)
            })
            .await;
    }
    let oddities = journal.task("task").await.oddities;
    assert_eq!(oddities, EventFlags::LEGACY_FORM | EventFlags::UNKNOWN_TYPE);
}

#[tokio::test]
async fn a_known_nonce_stores_nothing() {
    let journal = Fixture::new();
    let nonce = || nonce("once", NOW_MS + 1);
    let first = journal
        .append(event("task", "Processing", 1), nonce())
        .await;
    assert_eq!(first.unwrap(), Appended::Recorded);
    let second = journal.append(event("task", "Success", 2), nonce()).await;
    assert_eq!(second.unwrap(), Appended::Replayed);
    let third = journal.quarantine(reject(b"body"), nonce()).await;
    assert_eq!(third.unwrap(), Appended::Replayed);
    assert_eq!(journal.task("task").await.events, 1);
    assert!(
        journal
            .list_quarantine(None, 1)
            .await
            .unwrap()
            .rejects
            .is_empty()
    );
    assert_eq!(journal.stats().replays, 2);
}

#[tokio::test]
async fn a_nonce_may_come_again_once_it_expired() {
    let journal = Fixture::new();
    let at = |received_at_ms, status| Event {
        received_at_ms,
        ..event("task", status, received_at_ms)
    };
    for (received_at_ms, status, outcome) in [
        (10, "a", Appended::Recorded),
        (19, "b", Appended::Replayed),
        (20, "c", Appended::Recorded),
    ] {
        let append = journal.append(
            at(received_at_ms, status),
            nonce("once", received_at_ms + 10),
        );
        assert_eq!(append.await.unwrap(), outcome, "{received_at_ms}");
    }
}

#[tokio::test]
async fn a_nonce_survives_a_restart() {
    let journal = Fixture::new();
    let nonce = || nonce("once", NOW_MS + 1);
    journal
        .append(event("task", "Processing", 1), nonce())
        .await
        .unwrap();
    let journal = journal.reopen();
    let again = journal.append(event("task", "Success", 2), nonce()).await;
    assert_eq!(again.unwrap(), Appended::Replayed);
}

#[tokio::test]
async fn of_two_uses_of_a_nonce_in_one_batch_the_second_is_a_replay() {
    let journal = Fixture::new();
    let release = journal.stall().await;
    let first = journal.append(event("task", "Processing", 1), nonce("once", NOW_MS + 1));
    let second = journal.append(event("task", "Success", 2), nonce("once", NOW_MS + 1));
    let released = async {
        journal.until_waiting(2).await;
        drop(release);
    };
    let (first, second, ()) = tokio::join!(first, second, released);
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (Appended::Recorded, Appended::Replayed)
    );
    // The one that stalled, and the batch.
    assert_eq!(journal.stats().commits, 2);
}

/// Remembers the size of every batch.
#[derive(Default)]
struct Batches(Mutex<Vec<usize>>);

impl Observer for Batches {
    fn committed(&self, writes: usize, _: Duration) {
        self.0.lock().unwrap().push(writes);
    }
}

#[tokio::test]
async fn all_that_wait_share_one_commit() {
    let batches = Arc::new(Batches::default());
    let journal = Arc::new(Fixture::with(Options {
        observer: Some(batches.clone()),
        ..Options::default()
    }));
    let release = journal.stall().await;
    let mut appends = tokio::task::JoinSet::new();
    for at in 0..100 {
        let journal = journal.clone();
        appends.spawn(async move { journal.append(event("task", "Processing", at), None).await });
    }
    journal.until_waiting(100).await;
    drop(release);
    for result in appends.join_all().await {
        assert_eq!(result.unwrap(), Appended::Recorded);
    }
    assert_eq!(*batches.0.lock().unwrap(), [1, 100]);
    assert_eq!(journal.task("task").await.events, 100);
}

#[tokio::test]
async fn what_waits_is_durable_once_the_journal_is_closed() {
    let journal = Fixture::new();
    let release = journal.stall().await;
    let append = journal.append(event("task", "Success", 1), None);
    let closed = async {
        journal.until_waiting(1).await;
        drop(release);
        journal.close();
    };
    let (outcome, ()) = tokio::join!(append, closed);
    assert_eq!(outcome.unwrap(), Appended::Recorded);
    let refused = journal.append(event("task", "Fail", 2), None).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
    assert!(matches!(
        journal.summarize(0).await,
        Err(Error::Unavailable(_))
    ));
    let wal = journal.folder.path().join("journal.db-wal");
    assert!(!wal.exists(), "closing leaves the database alone behind");
    assert_eq!(journal.reopen().task("task").await.status, "Success");
}

#[tokio::test]
async fn a_probe_commits() {
    let journal = Fixture::new();
    journal.probe().await.unwrap();
    assert_eq!(journal.stats().commits, 1);
    assert_eq!(journal.stats().recorded, 0);
    assert!(journal.stats().wal_bytes > 0);
    journal.close();
    assert!(matches!(journal.probe().await, Err(Error::Unavailable(_))));
}
