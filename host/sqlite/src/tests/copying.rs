//! Backup and restore.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::*;
use crate::copies::{CopyError, back_up, restore};

async fn journal_with(events: u64) -> Fixture {
    let journal = Fixture::new();
    for at in 0..events {
        journal.record(event("task", "Processing", at)).await;
    }
    journal
}

fn events_of(path: &Path) -> u64 {
    let sql = "SELECT count(*) FROM events";
    let connection = schema::open_immutable(path).unwrap();
    connection
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs()
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_is_copied_while_it_is_written() {
    let journal = Arc::new(journal_with(100).await);
    let copies = TempDir::new().unwrap();
    let backup = copies.path().join("backup.db");
    let (writing, path) = (journal.clone(), journal.path().to_owned());
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = tokio::spawn(async move {
        let mut at = 100;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            writing.record(event("task", "Processing", at)).await;
            at += 1;
        }
    });
    for _ in 0..5 {
        let (path, backup) = (path.clone(), backup.clone());
        let copied = tokio::task::spawn_blocking(move || back_up(&path, &backup, true));
        let copied = copied.await.unwrap().unwrap();
        assert!(copied.events >= 100);
        assert_eq!(copied.events, events_of(&copied.path));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.await.unwrap();
    assert_eq!(names(&copies), ["backup.db"]);
    let mode = fs::metadata(&backup).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_backup_replaces_a_file_only_if_it_may() {
    let journal = journal_with(3).await;
    let backup = journal.folder.path().join("backup.db");
    back_up(journal.path(), &backup, false).unwrap();
    journal.record(event("task", "Success", 9)).await;
    let refused = back_up(journal.path(), &backup, false);
    assert!(matches!(refused, Err(CopyError::Exists { .. })));
    assert_eq!(events_of(&backup), 3);
    back_up(journal.path(), &backup, true).unwrap();
    assert_eq!(events_of(&backup), 4);
}

#[tokio::test]
async fn a_backup_of_another_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let (path, backup) = (folder.path().join("j.db"), folder.path().join("b.db"));
    let missing = back_up(&path, &backup, false);
    assert!(matches!(missing, Err(CopyError::Missing { .. })));
    fs::write(&path, "garbage ".repeat(1000)).unwrap();
    let garbage = back_up(&path, &backup, false);
    assert!(matches!(garbage, Err(CopyError::Journal(_))), "{garbage:?}");
    assert_eq!(names(&folder), ["j.db"]);
}

#[tokio::test]
async fn a_backup_is_restored() {
    let journal = journal_with(10).await;
    let backup = journal.folder.path().join("backup.db");
    back_up(journal.path(), &backup, false).unwrap();
    for at in 10..30 {
        journal.record(event("task", "Processing", at)).await;
    }
    let refused = restore(journal.path(), &backup, false);
    let is_refused = matches!(refused, Err(CopyError::Journal(OpenError::InUse { .. })));
    assert!(is_refused, "{refused:?}");
    assert_eq!(journal.task("task").await.unwrap().events, 30);
    journal.shut_down();
    let restored = restore(journal.path(), &backup, false).unwrap();
    assert_eq!(restored.events, 10);
    let journal = journal.reopen();
    assert_eq!(journal.task("task").await.unwrap().events, 10);
    // Followers do not miss new events.
    assert_eq!(*journal.last_seq().borrow(), 30);
    journal.record(event("task", "Success", 99)).await;
    assert_eq!(journal.events_after(30, 10).await.unwrap()[0].seq, 31);
}

#[tokio::test]
async fn a_restored_journal_keeps_its_owner() {
    let journal = journal_with(3).await;
    let (path, folder) = (journal.path().to_owned(), journal.folder.path().to_owned());
    let backup = folder.join("backup.db");
    back_up(&path, &backup, false).unwrap();
    journal.shut_down();
    if chown(&path, Some(65_534), Some(65_533)).is_err() {
        eprintln!("skipped: only root can change the owner of a file");
        return;
    }
    restore(&path, &backup, false).unwrap();
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.gid()), (65_534, 65_533));
    // Without a former journal: that of the folder.
    fs::remove_file(&path).unwrap();
    chown(&folder, Some(65_532), Some(65_531)).unwrap();
    restore(&path, &backup, false).unwrap();
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.gid()), (65_532, 65_531));
}

/// The log of the former journal is left, as after a copy by hand.
#[tokio::test]
async fn a_backup_replaces_the_log_of_a_crash_too() {
    let journal = journal_with(10).await;
    let backup = journal.folder.path().join("backup.db");
    back_up(journal.path(), &backup, false).unwrap();
    for at in 10..30 {
        journal.record(event("task", "Processing", at)).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    for is_damaged in [false, true] {
        fs::copy(journal.path(), &path).unwrap();
        fs::copy(journal.file("-wal"), path.with_extension("db-wal")).unwrap();
        if is_damaged {
            fs::copy(&backup, &path).unwrap();
            assert!(SqliteJournal::open(&path, Options::default()).is_err());
        }
        restore(&path, &backup, false).unwrap();
        assert_eq!(names(&folder), ["journal.db"]);
        let restored = SqliteJournal::open(&path, Options::default()).unwrap();
        let task = restored.find_task("app", "task").await.unwrap().unwrap();
        assert_eq!(task.events, 10, "{is_damaged}");
    }
}

#[tokio::test]
async fn an_invalid_backup_changes_nothing() {
    let journal = journal_with(10).await;
    journal.shut_down();
    let before = fs::read(journal.path()).unwrap();
    let file = |name| journal.folder.path().join(name);
    fs::write(file("garbage"), "garbage ".repeat(1000)).unwrap();
    fs::write(file("empty"), "").unwrap();
    let other = journal_with(1).await;
    back_up(other.path(), &file("other"), false).unwrap();
    let whole = file("whole");
    back_up(journal.path(), &whole, false).unwrap();
    let mut damaged = fs::read(&whole).unwrap();
    let half = damaged.len() / 2;
    damaged[half..].fill(0xa5);
    fs::write(file("damaged"), damaged).unwrap();
    fs::copy(&whole, file("with-log")).unwrap();
    fs::write(file("with-log-wal"), "log").unwrap();
    for name in [
        "garbage", "empty", "other", "damaged", "with-log", "missing",
    ] {
        let refused = restore(journal.path(), &file(name), false);
        let error = refused.expect_err(name);
        let text = error.to_string();
        assert!(text.contains(&format!("{name}`")), "{text}");
        assert_eq!(fs::read(journal.path()).unwrap(), before, "{name}");
    }
    restore(journal.path(), &file("other"), true).unwrap();
    assert_eq!(events_of(journal.path()), 1);
    // If there was no journal, none is created.
    let new = file("new");
    assert!(restore(&new, &file("damaged"), false).is_err());
    assert!(!new.exists());
    restore(&new, &whole, false).unwrap();
    assert_eq!(events_of(&new), 10);
}
