//! Failures of the disk, of another process and of the connection.

use std::fs;

use super::*;

/// Limits the growth of the database to `pages` more pages.
fn allow_pages(journal: &Fixture, pages: i64) {
    let limit = |connection: &Connection| {
        let count: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let max = count + pages;
        connection
            .pragma_update_and_check(None, "max_page_count", max, |_| Ok(()))
            .unwrap();
    };
    journal.hook(limit);
}

fn large_event() -> Event {
    Event {
        body: vec![b' '; 100_000],
        ..event("large", "Processing", NOW_MS)
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_is_temporary() {
    let journal = Fixture::new();
    journal.record(event("task", "Processing", 1)).await;
    allow_pages(&journal, 1);
    let full = journal.append(large_event()).await;
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    assert!(journal.task("large").await.is_none());
    allow_pages(&journal, 1000);
    journal.record(large_event()).await;
}

#[tokio::test]
async fn a_disk_below_the_minimum_of_free_bytes_counts_as_full() {
    let journal = Fixture::with(Options {
        min_free_bytes: u64::MAX,
        ..Options::default()
    });
    let full = journal.append(event("task", "Processing", 1)).await;
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    assert!(journal.task("task").await.is_none());
}

#[tokio::test]
async fn one_failure_fails_its_whole_batch() {
    let journal = Fixture::new();
    allow_pages(&journal, 1);
    let small = || signed("once", event("small", "Processing", 1), NOW_MS + 1);
    let batch = vec![small(), Entry::Event(large_event(), None)];
    let full = journal.commit(batch).await;
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    let tasks = journal.list_tasks(&all_tasks()).await.unwrap().tasks;
    assert!(tasks.is_empty());
    assert_eq!(*journal.last_seq().borrow(), 0);
    // Neither the signature nor a `seq` was used up.
    let other = signed("once", event("small", "Success", 2), NOW_MS + 1);
    let outcomes = journal.commit(vec![other, small()]).await.unwrap();
    assert_eq!(outcomes, [Appended::Recorded, Appended::Replayed]);
    let events = journal.events_after(0, 500).await.unwrap();
    assert_eq!((events.len(), events[0].seq), (1, 1));
}

#[tokio::test]
async fn a_lock_of_another_process_is_reported_and_is_temporary() {
    let journal = Fixture::new();
    journal.hook(|connection| connection.busy_timeout(Duration::ZERO).unwrap());
    let other = Connection::open(journal.path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = journal.append(event("task", "Success", 1)).await;
    assert!(matches!(locked, Err(Error::Unavailable(_))), "{locked:?}");
    assert!(journal.task("task").await.is_none());
    other.execute_batch("COMMIT").unwrap();
    journal.record(event("task", "Success", 1)).await;
}

/// Makes the connection that writes fail, so that it is closed.
async fn break_connection(journal: &Fixture) {
    journal.hook(|connection| connection.pragma_update(None, "query_only", true).unwrap());
    let failed = journal.commit(vec![Entry::Probe]).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
}

#[tokio::test]
async fn a_connection_that_failed_is_replaced() {
    let journal = Fixture::new();
    let entry = |status, at| signed("once", event("task", status, at), NOW_MS + 1);
    journal.commit(vec![entry("Processing", 1)]).await.unwrap();
    break_connection(&journal).await;
    let outcomes = journal.commit(vec![entry("Success", 2)]).await;
    assert_eq!(outcomes.unwrap(), [Appended::Replayed]);
    journal.record(event("task", "Success", 2)).await;
    assert_eq!(journal.task("task").await.unwrap().events, 2);
}

#[tokio::test]
async fn a_removed_file_is_not_created_again() {
    let journal = Fixture::new();
    journal.record(event("task", "Processing", 1)).await;
    break_connection(&journal).await;
    let elsewhere = journal.folder.path().join("elsewhere.db");
    fs::rename(journal.path(), &elsewhere).unwrap();
    let gone = journal.append(event("task", "Success", 2)).await;
    assert!(matches!(gone, Err(Error::Unavailable(_))), "{gone:?}");
    assert!(!journal.path().exists());
    fs::write(journal.path(), "").unwrap();
    let replaced = journal.append(event("task", "Success", 2)).await;
    assert!(
        matches!(replaced, Err(Error::Unavailable(_))),
        "{replaced:?}"
    );
    fs::rename(&elsewhere, journal.path()).unwrap();
    journal.record(event("task", "Success", 2)).await;
    assert_eq!(journal.task("task").await.unwrap().events, 2);
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_interrupted() {
    let journal = Fixture::with(Options {
        read_timeout: Duration::from_millis(50),
        ..Options::default()
    });
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT count(*) FROM n";
    let readers = journal.readers.clone();
    let read = readers
        .read(move |connection| connection.query_row(endless, [], |row| row.get::<_, i64>(0)));
    assert!(matches!(read.await, Err(Error::Unavailable(_))));
}
