//! What happens when the disk, another process or the writer itself fails.

use std::fs;
use std::time::Duration;

use super::*;

/// Lets the database grow by `pages` more pages and no further.
async fn allow_pages(journal: &Fixture, pages: i64) {
    let limit = move |connection: &Connection| {
        let count: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let max = count + pages;
        connection
            .pragma_update_and_check(None, "max_page_count", max, |_| Ok(()))
            .unwrap();
    };
    journal.hook(limit).await.unwrap();
}

fn large_event() -> Event {
    Event {
        body: vec![b' '; 100_000],
        ..event("large", "Processing", NOW_MS)
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let journal = Fixture::new();
    journal.record(event("task", "Processing", 1)).await;
    allow_pages(&journal, 1).await;
    let full = journal.append(large_event(), None).await;
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    assert!(
        journal
            .find_task("app".into(), "large".into())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(journal.stats().failed_commits, 1);
    allow_pages(&journal, 1000).await;
    journal.record(large_event()).await;
}

#[tokio::test]
async fn a_disk_with_little_room_left_is_full_before_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        min_free_bytes: u64::MAX,
        ..Options::default()
    };
    let journal = SqliteJournal::open(folder.path().join("journal.db"), options).unwrap();
    let full = journal.append(event("task", "Processing", 1), None).await;
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
    assert_eq!(journal.stats().recorded, 0);
}

#[tokio::test]
async fn one_failure_fails_its_whole_batch() {
    let journal = Fixture::new();
    allow_pages(&journal, 1).await;
    let release = journal.stall().await;
    let small = journal.append(event("small", "Processing", 1), nonce("once", NOW_MS + 1));
    let large = journal.append(large_event(), None);
    let released = async {
        journal.until_waiting(2).await;
        drop(release);
    };
    let (small, large, ()) = tokio::join!(small, large, released);
    assert!(matches!(small, Err(Error::Full(_))), "{small:?}");
    assert!(matches!(large, Err(Error::Full(_))), "{large:?}");
    assert!(
        journal
            .list_tasks(all_tasks())
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    // The nonce is not used up, and no number was given away.
    let again = journal
        .append(event("small", "Processing", 1), nonce("once", NOW_MS + 1))
        .await;
    assert_eq!(again.unwrap(), Appended::Recorded);
    assert_eq!(journal.history("small").await.remove(0).seq, 1);
}

#[tokio::test]
async fn a_lock_of_another_process_is_told_and_passes() {
    let journal = Fixture::new();
    journal
        .hook(|connection| connection.busy_timeout(Duration::ZERO).unwrap())
        .await
        .unwrap();
    let other = Connection::open(journal.path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = journal.append(event("task", "Success", 1), None).await;
    assert!(matches!(locked, Err(Error::Unavailable(_))), "{locked:?}");
    assert!(
        journal
            .list_tasks(all_tasks())
            .await
            .unwrap()
            .tasks
            .is_empty()
    );
    other.execute_batch("COMMIT").unwrap();
    journal.record(event("task", "Success", 1)).await;
}

/// Makes the writer's connection fail at everything from now on.
async fn spoil_connection(journal: &Fixture) {
    let spoil = |connection: &Connection| {
        connection.pragma_update(None, "query_only", true).unwrap();
    };
    let spoiled = journal.hook(spoil).await;
    assert!(matches!(spoiled, Err(Error::Unavailable(_))), "{spoiled:?}");
}

#[tokio::test]
async fn a_connection_that_failed_is_replaced() {
    let journal = Fixture::new();
    journal
        .append(event("task", "Processing", 1), nonce("once", NOW_MS + 1))
        .await
        .unwrap();
    spoil_connection(&journal).await;
    let replayed = journal
        .append(event("task", "Success", 2), nonce("once", NOW_MS + 1))
        .await;
    assert_eq!(replayed.unwrap(), Appended::Replayed);
    journal.record(event("task", "Success", 2)).await;
    assert_eq!(journal.task("task").await.events, 2);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew() {
    let journal = Fixture::new();
    journal.record(event("task", "Processing", 1)).await;
    spoil_connection(&journal).await;
    let elsewhere = journal.folder.path().join("elsewhere.db");
    fs::rename(journal.path(), &elsewhere).unwrap();
    let gone = journal.append(event("task", "Success", 2), None).await;
    assert!(matches!(gone, Err(Error::Unavailable(_))), "{gone:?}");
    assert!(!journal.path().exists());
    fs::write(journal.path(), "").unwrap();
    let replaced = journal.append(event("task", "Success", 2), None).await;
    assert!(
        matches!(replaced, Err(Error::Unavailable(_))),
        "{replaced:?}"
    );
    fs::rename(&elsewhere, journal.path()).unwrap();
    journal.record(event("task", "Success", 2)).await;
    assert_eq!(journal.task("task").await.events, 2);
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_panicked() {
    let journal = Fixture::new();
    let panicked = journal.hook(|_| panic!("on purpose")).await;
    assert!(
        matches!(panicked, Err(Error::Unavailable(_))),
        "{panicked:?}"
    );
    let after = journal.append(event("task", "Success", 1), None).await;
    assert!(matches!(after, Err(Error::Unavailable(_))), "{after:?}");
    assert!(journal.follow(0, 1, u32::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_caller_that_gave_up_loses_no_event() {
    let options = Options {
        append_timeout: Duration::from_millis(1),
        ..Options::default()
    };
    let journal = Fixture::with(options);
    let release = journal.stall().await;
    let slow = journal.append(event("task", "Success", 1), None).await;
    assert!(matches!(slow, Err(Error::Unavailable(_))), "{slow:?}");
    drop(release);
    let followed = journal.follow(0, 1, 60_000).await.unwrap();
    assert_eq!(followed.len(), 1);
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
