//! Everything that waits or accumulates has a bound.

use std::time::Duration;

use super::super::values::ROW_OVERHEAD_BYTES;
use super::*;

#[tokio::test]
async fn too_many_writes_are_refused_at_once() {
    let journal = Fixture::with(Options {
        queue_max_writes: 2,
        ..Options::default()
    });
    let release = journal.stall().await;
    let first = journal.append(event("task", "a", 1), None);
    let second = journal.append(event("task", "b", 2), None);
    let third = async {
        journal.until_waiting(2).await;
        let refused = journal.append(event("task", "c", 3), None).await;
        drop(release);
        refused
    };
    let (first, second, third) = tokio::join!(first, second, third);
    assert!(matches!(third, Err(Error::Unavailable(_))), "{third:?}");
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        (Appended::Recorded, Appended::Recorded)
    );
}

#[tokio::test]
async fn too_many_bytes_are_refused() {
    let journal = Fixture::with(Options {
        queue_max_bytes: 10_000,
        ..Options::default()
    });
    let large = Event {
        body: vec![0; 10_000],
        ..event("task", "a", 1)
    };
    let refused = journal.append(large, None).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    journal.record(event("task", "a", 1)).await;
}

#[tokio::test]
async fn what_the_file_cannot_hold_is_refused_alone() {
    let journal = Fixture::new();
    let short = Event {
        digest: vec![0; 31],
        ..event("task", "a", 1)
    };
    let beyond = event("task", "a", u64::MAX);
    for bad in [short, beyond] {
        let refused = journal.append(bad, None).await;
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    }
    let refused = journal
        .append(event("task", "a", 1), nonce(&"n".repeat(257), 1))
        .await;
    assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
    assert_eq!(journal.stats().commits, 0);
}

/// Room for three rejects of 100 bytes.
fn small_quarantine() -> Options {
    let each = ROW_OVERHEAD_BYTES + "not-json".len() + 100;
    Options {
        quarantine_max_bytes: 3 * each as u64,
        ..Options::default()
    }
}

#[tokio::test]
async fn the_oldest_rejects_go_first_and_are_counted() {
    let journal = Fixture::with(small_quarantine());
    for body in 1..=5 {
        let kept = journal.quarantine(reject(&[body; 100]), None).await;
        assert_eq!(kept.unwrap(), Appended::Recorded);
    }
    let page = journal.list_quarantine(None, 500).await.unwrap();
    let bodies: Vec<u8> = page
        .rejects
        .iter()
        .map(|kept| kept.reject.body[0])
        .collect();
    assert_eq!((bodies, page.dropped), (vec![5, 4, 3], 2));
    assert_eq!(
        journal.stats().quarantine_bytes,
        small_quarantine().quarantine_max_bytes
    );
    assert_eq!(journal.reopen().stats().quarantine_dropped, 2);
}

#[tokio::test]
async fn a_reject_larger_than_the_quarantine_costs_the_others_nothing() {
    let journal = Fixture::with(small_quarantine());
    journal.quarantine(reject(&[1; 100]), None).await.unwrap();
    let dropped = journal.quarantine(reject(&[2; 2000]), None).await;
    assert_eq!(dropped.unwrap(), Appended::Recorded);
    let page = journal.list_quarantine(None, 500).await.unwrap();
    assert_eq!((page.rejects.len(), page.dropped), (1, 1));
}

#[tokio::test]
async fn numbers_in_the_quarantine_do_not_come_back() {
    let journal = Fixture::with(small_quarantine());
    journal.quarantine(reject(&[1; 100]), None).await.unwrap();
    let all = small_quarantine().quarantine_max_bytes as usize - ROW_OVERHEAD_BYTES - 8;
    journal
        .quarantine(reject(&vec![2; all]), None)
        .await
        .unwrap();
    let page = journal.list_quarantine(None, 500).await.unwrap();
    assert_eq!((page.rejects.len(), page.rejects[0].seq), (1, 2));
}

async fn nonces(journal: &Fixture) -> i64 {
    let count = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM nonces", [], |row| row.get(0))
    };
    journal.readers.read(count).await.unwrap()
}

#[tokio::test]
async fn expired_nonces_are_forgotten() {
    let journal = Fixture::new();
    for at in 0..100 {
        let event = Event {
            received_at_ms: at,
            ..event("task", "a", at)
        };
        journal
            .append(event, nonce(&at.to_string(), at + 10))
            .await
            .unwrap();
    }
    assert_eq!(nonces(&journal).await, 10);
}

#[tokio::test]
async fn of_too_many_nonces_those_that_expire_next_are_forgotten() {
    let journal = Fixture::with(Options {
        nonces_max: 10,
        ..Options::default()
    });
    for at in 0..20 {
        let nonce = nonce(&at.to_string(), NOW_MS + 1000 - at);
        journal.append(event("task", "a", at), nonce).await.unwrap();
    }
    assert_eq!(nonces(&journal).await, 10);
    let latest = journal
        .append(event("task", "b", 0), nonce("0", NOW_MS + 1))
        .await;
    assert_eq!(latest.unwrap(), Appended::Replayed);
}

#[tokio::test]
async fn the_log_is_copied_while_it_is_written() {
    let journal = Fixture::new();
    let size = || std::fs::metadata(journal.path()).unwrap().len();
    let before = size();
    for at in 0..20 {
        let large = Event {
            body: vec![b' '; 1_000_000],
            ..event("task", "a", at)
        };
        journal.record(large).await;
    }
    let grown = async {
        while size() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), grown)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_log_starts_over_once_no_reader_is_in_the_way() {
    let journal = Fixture::new();
    journal.record(event("task", "a", 0)).await;
    let reader = Connection::open(journal.path()).unwrap();
    let count = "BEGIN; SELECT count(*) FROM tasks";
    reader.execute_batch(count).unwrap();
    let max = (checkpoint::MAX_FRAMES + checkpoint::RETRY_FRAMES) * checkpoint::FRAME_BYTES;
    let mut at = 0;
    let mut append_large = async || {
        at += 1;
        let body = vec![b' '; 1_000_000];
        journal
            .record(Event {
                body,
                ..event("task", "a", at)
            })
            .await;
        journal.stats().wal_bytes
    };
    // A snapshot that stays open stops the log from being emptied, not writes.
    while append_large().await < max {}
    reader.execute_batch("COMMIT").unwrap();
    while append_large().await >= max / 2 {}
}
