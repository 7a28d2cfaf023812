//! The bounds of the signatures, of the log and of the time of a read.

use super::*;

fn signatures(journal: &Fixture) -> i64 {
    let sql = "SELECT count(*) FROM signatures";
    journal.hook(|connection| connection.query_row(sql, [], |row| row.get(0)).unwrap())
}

#[tokio::test]
async fn expired_signatures_are_forgotten() {
    let journal = Fixture::new();
    for minute in 0..100 {
        let now_ms = NOW_MS + minute * 60_000;
        let event = Event {
            received_at_ms: now_ms,
            ..event("task", "a", minute)
        };
        let entry = signed(&minute.to_string(), event, now_ms + 600_000);
        journal.commit(vec![entry]).await.unwrap();
        journal.pass(Duration::from_secs(60));
    }
    // The signatures of the last 10 minutes, and a margin of 2 minutes.
    assert_eq!(signatures(&journal), 12);
}

/// Appends an event that arrives at this time, with the signature called `once`.
async fn use_once(journal: &Fixture, status: &str, now_ms: u64) -> Appended {
    let event = Event {
        received_at_ms: now_ms,
        ..event("task", status, 1)
    };
    let entry = signed("once", event, NOW_MS + 300_000);
    journal.commit(vec![entry]).await.unwrap()[0]
}

/// Appends a signed event that arrives at this time. Such a commit also deletes
/// expired signatures.
async fn use_another(journal: &Fixture, now_ms: u64) {
    let event = Event {
        received_at_ms: now_ms,
        ..event("another", "a", now_ms)
    };
    let entry = signed(&now_ms.to_string(), event, now_ms + 300_000);
    journal.commit(vec![entry]).await.unwrap();
}

/// The clock jumps ahead, the process starts again meanwhile, and the clock
/// comes back.
#[tokio::test]
async fn a_clock_that_jumps_ahead_frees_no_signature_even_over_a_restart() {
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    for ahead_ms in [400_000, 50 * YEAR_MS] {
        let mut journal = Fixture::new();
        assert_eq!(use_once(&journal, "a", NOW_MS).await, Appended::Recorded);
        use_another(&journal, NOW_MS + ahead_ms).await;
        journal = journal.reopen();
        use_another(&journal, NOW_MS + ahead_ms + 1).await;
        let other = use_once(&journal, "b", NOW_MS + 1000).await;
        assert_eq!(other, Appended::Replayed, "{ahead_ms}");
        // The journal still works, whatever the clock shows.
        for now_ms in [0, NOW_MS, NOW_MS + ahead_ms] {
            use_another(&journal, now_ms + 2).await;
        }
    }
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
    // Some signatures are new, some are repeated, some are used again after expiry.
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
    // An open snapshot prevents the log from starting over, but not writes.
    while append_large().await < max {}
    reader.execute_batch("COMMIT").unwrap();
    while append_large().await >= max / 2 {}
}

/// Reads without a gap between them always have a snapshot open.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_keeps_its_bound_under_permanent_reads() {
    let journal = Arc::new(Fixture::new());
    journal.record(event("task", "a", 0)).await;
    let reading: Vec<_> = (0..4)
        .map(|_| {
            let readers = journal.readers.clone();
            tokio::spawn(async move {
                loop {
                    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                                   SELECT (SELECT count(*) FROM tasks) + count(*) FROM n";
                    let read = readers.read(move |connection| {
                        connection.query_row(endless, [], |row| row.get::<_, i64>(0))
                    });
                    // It is stopped each time.
                    assert!(matches!(read.await, Err(Error::Unavailable(_))));
                }
            })
        })
        .collect();
    // The bound, with a margin for the commits between two attempts.
    let max = (checkpoint::END_READS_FRAMES + 2 * checkpoint::RETRY_FRAMES) * counters::FRAME_BYTES;
    for at in 1..300 {
        let body = vec![b' '; 1_000_000];
        journal
            .record(Event {
                body,
                ..event("task", "a", at)
            })
            .await;
        let bytes = journal.wal_bytes();
        assert!(bytes <= max, "{bytes}");
    }
    reading.iter().for_each(|read| read.abort());
}

/// SQLite does not check the deadline while the search function runs, which takes
/// long for long texts.
#[tokio::test]
async fn a_search_in_long_texts_keeps_its_deadline() {
    let journal = Fixture::with(Options {
        read_timeout: Duration::from_millis(20),
        ..Options::default()
    });
    for at in 0..50 {
        let event = Event {
            status_desc: "a".repeat(1_400_000),
            ..event(&at.to_string(), "a", at)
        };
        journal.record(event).await;
    }
    let query = TaskQuery {
        text: Some("a".repeat(4000) + "b"),
        ..all_tasks()
    };
    let started = std::time::Instant::now();
    let found = journal.list_tasks(&query).await;
    assert!(matches!(found, Err(Error::Unavailable(_))));
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
}

/// The work to list a task does not grow with the number of its events.
#[tokio::test]
async fn a_task_with_very_many_events_is_listed_quickly() {
    let journal = Fixture::new();
    let body = "x".repeat(1000);
    for batch in 0..50_u64 {
        let entries = (0..400).map(|number| {
            let at = batch * 400 + number;
            let event = Event {
                request_id: Some(format!("{at:08}{body}")),
                ..event("task", "a", at)
            };
            Entry::Event(event, None)
        });
        journal.commit(entries.collect()).await.unwrap();
    }
    let count_events = |connection: &Connection| {
        let sql = "SELECT count(*) FROM events";
        connection.query_row(sql, [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(journal.hook(count_events).unwrap(), 20_000);
    // Less than a tenth of the instructions that reading each event takes.
    let calls = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = calls.clone();
    let mut connection = schema::open_reader(journal.path()).unwrap();
    let count = move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        false
    };
    connection.progress_handler(100, Some(count)).unwrap();
    let listing = crate::listing::Listing::new(&all_tasks()).unwrap();
    let page = listing.read(&connection).unwrap();
    assert_eq!(page.tasks[0].request_ids.len(), 16);
    assert!(page.tasks[0].request_ids[0].starts_with("00000000x"));
    let instructions = 100 * calls.load(std::sync::atomic::Ordering::Relaxed);
    assert!(instructions < 2000, "{instructions}");
}
