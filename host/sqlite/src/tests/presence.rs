//! Files that are removed, replaced, truncated or overwritten, while a journal is
//! in use or before it is opened.

use std::fs::{self, File};
use std::time::Instant;

use super::*;

async fn record_many(journal: &Fixture, events: std::ops::Range<u64>) {
    for at in events {
        journal.record(event("task", "Processing", at)).await;
    }
}

/// Returns the number of events. The connection of this read stays open.
async fn count(journal: &Fixture) -> u64 {
    journal.task("task").await.map_or(0, |task| task.events)
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn truncate(path: &Path, bytes: u64) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

#[tokio::test]
async fn a_log_that_is_removed_is_saved_and_begun_again() {
    for suffix in ["-wal", "-shm"] {
        let journal = Fixture::new();
        record_many(&journal, 0..100).await;
        assert_eq!(count(&journal).await, 100);
        fs::remove_file(journal.file(suffix)).unwrap();
        record_many(&journal, 100..200).await;
        assert!(journal.file(suffix).exists(), "{suffix}");
        assert_eq!(count(&journal).await, 200);
        // The files that a crash would leave are complete.
        let copy = journal.folder.path().join("copy.db");
        fs::copy(journal.path(), &copy).unwrap();
        fs::copy(journal.file("-wal"), copy.with_extension("db-wal")).unwrap();
        let copy = SqliteJournal::open(copy, Options::default()).unwrap();
        let task = copy.find_task("app", "task").await.unwrap().unwrap();
        assert_eq!(task.events, 200, "{suffix}");
    }
}

#[tokio::test]
async fn a_log_that_is_replaced_is_saved() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    count(&journal).await;
    let other = journal.folder.path().join("other");
    fs::write(&other, "something else").unwrap();
    fs::rename(other, journal.file("-wal")).unwrap();
    record_many(&journal, 10..20).await;
    assert_eq!(count(&journal).await, 20);
    assert_eq!(count(&journal.reopen()).await, 20);
}

/// The files are also checked while nothing is written.
#[tokio::test]
async fn a_log_that_is_removed_is_saved_before_the_next_commit() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    fs::remove_file(journal.file("-wal")).unwrap();
    let since = Instant::now();
    while !journal.file("-wal").exists() {
        journal.maintain().await;
        tokio::task::yield_now().await;
        assert!(since.elapsed().as_secs() < 60);
    }
}

#[tokio::test]
async fn after_a_truncation_nothing_is_acknowledged() {
    for (suffix, bytes) in [("-wal", 0), ("-wal", 50_000), ("", 0), ("", 8192)] {
        let journal = Fixture::new();
        record_many(&journal, 0..100).await;
        truncate(&journal.file(suffix), bytes);
        let first = journal.append(event("task", "Processing", 100)).await;
        let text = assert_unavailable(first);
        assert!(text.contains("batchtask restore"), "{text}");
        assert!(text.contains(&format!("journal.db{suffix}`")), "{text}");
        let again = journal.append(event("task", "Processing", 100)).await;
        assert_eq!(assert_unavailable(again), text, "the same error");
    }
}

/// Truncating a log loses nothing if its content is in the database already.
#[tokio::test]
async fn truncating_a_copied_log_loses_nothing() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    let other = Connection::open(journal.path()).unwrap();
    other
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    assert_eq!(fs::metadata(journal.file("-wal")).unwrap().len(), 0);
    drop(other);
    record_many(&journal, 10..20).await;
    assert_eq!(count(&journal.reopen()).await, 20);
}

#[tokio::test]
async fn a_copy_over_the_database_is_noticed() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    let copy = journal.folder.path().join("copy.db");
    copies::back_up(journal.path(), &copy, false).unwrap();
    fs::copy(&copy, journal.path()).unwrap();
    let text = assert_unavailable(journal.append(event("task", "Success", 100)).await);
    assert!(text.contains("overwritten"), "{text}");
    // The copy is left alone when the process ends, and the log is not applied.
    let before = fs::read(journal.path()).unwrap();
    let Fixture { journal, folder } = journal;
    let path = journal.path().to_owned();
    drop(journal);
    assert_eq!(fs::read(&path).unwrap(), before);
    let refused = SqliteJournal::open(&path, Options::default());
    assert!(matches!(refused, Err(OpenError::ForeignLog { .. })));
    drop(folder);
}

#[tokio::test]
async fn an_index_that_another_program_adds_is_accepted() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    let other = Connection::open(journal.path()).unwrap();
    let sql = "CREATE INDEX theirs ON events (received_at_ms); PRAGMA wal_checkpoint(PASSIVE)";
    other.execute_batch(sql).unwrap();
    record_many(&journal, 10..20).await;
    assert_eq!(count(&journal).await, 20);
}

#[tokio::test]
async fn a_check_of_the_files_takes_microseconds() {
    let journal = Fixture::new();
    record_many(&journal, 0..10).await;
    let checks = 1000;
    let owner = journal.folder.path().join("other.db");
    let owner = Owner::lock(&owner, std::time::Duration::ZERO).unwrap();
    let mut presence = crate::presence::Presence::of(&owner);
    let started = Instant::now();
    for _ in 0..checks {
        presence.check(&owner, 0);
    }
    let each = started.elapsed() / checks;
    assert!(each.as_micros() < 200, "{each:?}");
    eprintln!("a check of the files takes {each:?}");
}

/// Copies the files that a crash would leave, database and log, to a new folder.
fn crashed(journal: &Fixture) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    fs::copy(journal.path(), &path).unwrap();
    fs::copy(journal.file("-wal"), path.with_extension("db-wal")).unwrap();
    (folder, path)
}

fn open(path: &Path) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(path, Options::default())
}

#[track_caller]
fn assert_foreign(path: &Path) {
    let before = fs::read(path).unwrap();
    match open(path) {
        Err(error @ OpenError::ForeignLog { .. }) => {
            let text = error.to_string();
            assert!(text.contains("batchtask restore"), "{text}");
            assert!(text.contains("journal.db-wal`"), "{text}");
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
    assert_eq!(fs::read(path).unwrap(), before, "it is not changed");
}

/// Makes a backup like the command `.backup` of SQLite's command line.
fn backup_by_sqlite(from: &Path, to: &Path) {
    let (from, mut to) = (
        Connection::open(from).unwrap(),
        Connection::open(to).unwrap(),
    );
    let backup = rusqlite::backup::Backup::new(&from, &mut to).unwrap();
    backup.step(-1).unwrap();
}

#[tokio::test]
async fn a_copy_in_the_place_of_the_database_is_refused_with_the_log() {
    for (more, starts_over) in [(5, false), (400, false), (400, true)] {
        let journal = Fixture::new();
        record_many(&journal, 0..50).await;
        let copy = journal.folder.path().join("copy.db");
        backup_by_sqlite(journal.path(), &copy);
        if starts_over {
            journal.hook(checkpoint::restart).unwrap();
        }
        record_many(&journal, 50..50 + more).await;
        let (folder, path) = crashed(&journal);
        fs::copy(&copy, &path).unwrap();
        assert_foreign(&path);
        // As the message says: without the log, the journal is the copy.
        fs::remove_file(path.with_extension("db-wal")).unwrap();
        let restored = open(&path).unwrap();
        let task = restored.find_task("app", "task").await.unwrap().unwrap();
        assert_eq!(task.events, 50);
        drop(folder);
    }
}

#[tokio::test]
async fn an_older_copy_without_its_log_is_refused_with_a_newer_log() {
    let journal = Fixture::new();
    record_many(&journal, 0..50).await;
    let journal = journal.reopen();
    let old = fs::read(journal.path()).unwrap();
    let journal = journal.reopen();
    record_many(&journal, 50..60).await;
    let (_folder, path) = crashed(&journal);
    fs::write(&path, old).unwrap();
    assert_foreign(&path);
}

#[tokio::test]
async fn the_log_of_another_journal_is_refused() {
    let (journal, other) = (Fixture::new(), Fixture::new());
    record_many(&journal, 0..50).await;
    record_many(&other, 0..500).await;
    let (_folder, path) = crashed(&journal);
    fs::copy(other.file("-wal"), path.with_extension("db-wal")).unwrap();
    assert_foreign(&path);
}

#[tokio::test]
async fn an_empty_database_is_refused_with_a_log() {
    let journal = Fixture::new();
    record_many(&journal, 0..50).await;
    let (_folder, path) = crashed(&journal);
    truncate(&path, 0);
    assert_foreign(&path);
}

/// A crash at any moment leaves a database and a log that belong together.
#[tokio::test]
async fn the_files_of_a_crash_are_never_refused() {
    let journal = Fixture::new();
    for round in 0..40_u64 {
        record_many(&journal, round * 10..round * 10 + 10).await;
        match round % 4 {
            1 => drop(journal.hook(checkpoint::restart)),
            2 => {
                let passive = |connection: &Connection| {
                    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                };
                journal.hook(passive).unwrap();
            }
            3 => drop(journal.hook(checkpoint::truncate)),
            _ => {}
        }
        let (_folder, path) = crashed(&journal);
        let left = open(&path).unwrap();
        let task = left.find_task("app", "task").await.unwrap().unwrap();
        assert_eq!(task.events, round * 10 + 10);
    }
}
