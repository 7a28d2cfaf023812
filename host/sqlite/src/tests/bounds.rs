//! Signatures that are forgotten, and the length of the log.

use std::time::Duration;

use super::*;

fn signatures(journal: &Fixture) -> i64 {
    let sql = "SELECT count(*) FROM signatures";
    journal.hook(|connection| connection.query_row(sql, [], |row| row.get(0)).unwrap())
}

#[tokio::test]
async fn expired_signatures_are_forgotten() {
    let journal = Fixture::new();
    for at in 0..100 {
        let event = Event {
            received_at_ms: at,
            ..event("task", "a", at)
        };
        let entry = signed(&at.to_string(), event, at + 10);
        journal.commit(vec![entry]).await.unwrap();
    }
    assert_eq!(signatures(&journal), 10);
}

#[tokio::test]
async fn the_signatures_are_counted() {
    let bounds = Bounds {
        signatures_max: 10,
        ..Bounds::default()
    };
    let journal = Fixture::with(Options {
        bounds,
        ..Options::default()
    });
    let counted = || {
        let sql = "SELECT signatures FROM totals";
        journal.hook(|connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    // Some are new, some repeated, some used again after they expired.
    for at in 0..60 {
        let number = at % 17;
        let event = Event {
            received_at_ms: at,
            ..event("task", "a", number)
        };
        let entry = signed(&number.to_string(), event, at + 20);
        journal.commit(vec![entry]).await.unwrap();
        assert_eq!(counted().unwrap(), signatures(&journal), "{at}");
    }
    assert_eq!(signatures(&journal), 10);
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
    let max = (checkpoint::MAX_FRAMES + checkpoint::RETRY_FRAMES) * counters::FRAME_BYTES;
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
        journal.wal_bytes()
    };
    // A snapshot that stays open stops the log from being emptied, not writes.
    while append_large().await < max {}
    reader.execute_batch("COMMIT").unwrap();
    while append_large().await >= max / 2 {}
}
