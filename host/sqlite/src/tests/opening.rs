//! Which files can be opened as a journal, and by which process.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;

fn open(path: &Path) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(path, Options::default())
}

#[track_caller]
fn refusal(path: &Path) -> OpenError {
    open(path).err().expect("refused")
}

/// Runs `sql` in a database that was not made by this program.
fn database(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn an_empty_file_becomes_a_journal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    fs::write(&path, "").unwrap();
    open(&path).unwrap();
}

#[test]
fn a_missing_folder_is_named() {
    let folder = TempDir::new().unwrap();
    let error = refusal(&folder.path().join("missing/journal.db"));
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("missing`"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_in_which_no_file_can_be_created_is_refused() {
    // Not even the superuser can create files here.
    let error = refusal(Path::new("/proc/self/journal.db"));
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

/// Only the owner can read a journal, whatever the umask is.
#[tokio::test]
async fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let umask = rustix::process::umask(rustix::fs::Mode::empty());
    let journal = Fixture::new();
    journal.record(event("task", "Success", 1)).await;
    for suffix in ["", "-wal", "-shm"] {
        let data = fs::metadata(journal.file(suffix)).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
    rustix::process::umask(umask);
}

#[test]
fn a_file_with_two_names_is_refused() {
    let journal = Fixture::new();
    let other = journal.folder.path().join("other.db");
    fs::hard_link(journal.path(), &other).unwrap();
    // It is refused while it is in use, and later by either name.
    assert!(matches!(refusal(&other), OpenError::InUse { .. }));
    journal.shut_down();
    for path in [journal.path(), &other] {
        let error = refusal(path);
        assert!(
            matches!(error, OpenError::HardLinked { links: 2, .. }),
            "{error}"
        );
    }
    fs::remove_file(&other).unwrap();
    open(journal.path()).unwrap();
}

#[test]
fn a_link_whose_target_is_created_by_opening_is_the_same_journal() {
    let folder = TempDir::new().unwrap();
    let (link, target) = (
        folder.path().join("link.db"),
        folder.path().join("target.db"),
    );
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let journal = open(&link).unwrap();
    assert_eq!(journal.path(), fs::canonicalize(&target).unwrap());
    for path in [&link, &target] {
        assert!(matches!(refusal(path), OpenError::InUse { .. }));
    }
}

#[test]
fn opening_waits_for_another_owner() {
    let journal = Fixture::new();
    let path = journal.path().to_owned();
    let waiting = std::thread::spawn(move || {
        let lock_wait = std::time::Duration::from_secs(60);
        let options = Options {
            lock_wait,
            ..Options::default()
        };
        SqliteJournal::open(path, options).map(drop)
    });
    journal.shut_down();
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_journal_that_cannot_be_written_is_refused_with_the_cause_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    open(&path).unwrap();
    fs::create_dir(folder.path().join("journal.db-wal")).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::NotAFile { .. }), "{error}");
    assert!(error.to_string().contains("journal.db-wal`"), "{error}");
}

#[test]
fn a_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(refusal(folder.path()), OpenError::NotAFile { .. }));
    assert!(matches!(
        refusal(Path::new("/")),
        OpenError::NotAFile { .. }
    ));
}

#[test]
fn garbage_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let garbage = "not a database, ".repeat(1000);
    fs::write(&path, &garbage).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
    assert!(error.to_string().contains("journal.db`"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    for sql in [
        "CREATE TABLE theirs (a); PRAGMA application_id = 7",
        "CREATE TABLE theirs (a)",
        "CREATE TABLE theirs (a); PRAGMA user_version = 1",
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("journal.db");
        database(&path, sql);
        let before = fs::read(&path).unwrap();
        let error = refusal(&path);
        assert!(
            matches!(error, OpenError::OtherProgram { .. }),
            "{sql}: {error}"
        );
        assert_eq!(fs::read(&path).unwrap(), before, "{sql}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let journal = Fixture::new();
    journal.shut_down();
    database(journal.path(), "PRAGMA user_version = 1000");
    let error = refusal(journal.path());
    assert!(
        matches!(error, OpenError::NewerSchema { found: 1000, .. }),
        "{error}"
    );
}

#[test]
fn a_journal_has_one_owner() {
    let journal = Fixture::new();
    assert!(matches!(refusal(journal.path()), OpenError::InUse { .. }));
    journal.shut_down();
    open(journal.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_journal_has_one_owner_under_all_its_names() {
    let journal = Fixture::new();
    let alias = journal.folder.path().join("alias.db");
    std::os::unix::fs::symlink(journal.path(), &alias).unwrap();
    assert!(matches!(refusal(&alias), OpenError::InUse { .. }));
}

#[test]
fn a_database_locked_by_another_program_is_in_use() {
    let journal = Fixture::new();
    journal.shut_down();
    let other = Connection::open(journal.path()).unwrap();
    other
        .pragma_update(None, "locking_mode", "exclusive")
        .unwrap();
    other
        .execute_batch("BEGIN EXCLUSIVE; UPDATE totals SET commits = 0; COMMIT")
        .unwrap();
    assert!(matches!(refusal(journal.path()), OpenError::InUse { .. }));
}

#[tokio::test]
async fn closing_leaves_only_the_database_behind() {
    let journal = Fixture::new();
    journal.record(event("task", "Success", 1)).await;
    let wal = journal.folder.path().join("journal.db-wal");
    assert!(wal.exists() && journal.wal_bytes() > 0);
    journal.close().await;
    assert!(!wal.exists());
}

#[test]
fn the_first_schema_is_migrated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    database(&path, include_str!("../schema/1.sql"));
    let marks = "PRAGMA application_id = 0x62746a6c; PRAGMA user_version = 1";
    database(&path, marks);
    open(&path).unwrap();
}

#[tokio::test]
async fn the_third_schema_is_migrated_with_its_content() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    for script in [
        include_str!("../schema/1.sql"),
        include_str!("../schema/2.sql"),
        include_str!("../schema/3.sql"),
        "PRAGMA application_id = 0x62746a6c; PRAGMA user_version = 3",
        "INSERT INTO tasks VALUES (7, 'app', 'task', 't', 'Success', '', 2, 5, x'02', 1, 9, 2, 1, 0);
         INSERT INTO events VALUES (1, 7, x'01', 1, 2, 8, NULL, 0, 0, 1, 't', 'Processing', '',
             NULL, NULL, 'c', x'7b7d', 0);
         INSERT INTO events VALUES (2, 7, x'02', 2, 5, 9, NULL, 0, 0, 0, 't', 'Success', '',
             NULL, NULL, 'a', x'7b7d', 0);
         INSERT INTO repeats VALUES (7, 1, 'b');
         INSERT INTO quarantine VALUES (1, 8, 300, 'not-json', '', NULL, x'');
         INSERT INTO quarantine VALUES (2, 8, 20000, 'not-json', '', NULL, x'');
         UPDATE totals SET quarantine_bytes = 20300, last_received_at_ms = 9",
    ] {
        database(&path, script);
    }
    let journal = open(&path).unwrap();
    // The earlier version of the program can use the copy.
    let kept = folder.path().join("journal.db.v3");
    assert_eq!(kept.metadata().unwrap().mode() & 0o777, 0o600);
    let kept = Connection::open(kept).unwrap();
    let facts = kept.query_row(
        "SELECT user_version, total(seq) FROM pragma_user_version, events",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)),
    );
    assert_eq!(facts.unwrap(), (3, 3.0));
    let task = journal.find_task("app", "task").await.unwrap().unwrap();
    assert_eq!(task.request_ids, ["a", "b", "c"]);
    assert_eq!((task.events, task.duplicates), (2, 1));
    let statuses: Vec<_> = task.trail.into_iter().map(|step| step.status).collect();
    assert_eq!(statuses, ["Processing", "Success"]);
    assert_eq!(*journal.last_seq().borrow(), 2);
    let shares = || {
        let sql = "SELECT quarantine_bytes, quarantine_large_bytes FROM totals";
        let connection = Connection::open(&path).unwrap();
        connection.query_row(sql, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
    };
    assert_eq!(shares().unwrap(), (20_300, 20_000));
    // The foreign keys are valid: the old task can be removed.
    assert_eq!(journal.prune(10).await.unwrap().events, 2);
    assert_eq!(journal.prune(10).await.unwrap().events, 0);
}

#[test]
fn a_journal_that_cannot_be_copied_is_not_migrated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    database(&path, include_str!("../schema/1.sql"));
    let marks = "PRAGMA application_id = 0x62746a6c; PRAGMA user_version = 1";
    database(&path, marks);
    fs::create_dir(folder.path().join("journal.db.v1")).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::NotKept { .. }), "{error}");
    let connection = Connection::open(&path).unwrap();
    let version: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 1);
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let marks = "PRAGMA application_id = 0x62746a6c; PRAGMA user_version = 2";
    database(&path, "CREATE TABLE tasks (oddities)");
    database(&path, marks);
    let error = refusal(&path);
    let is_third = matches!(error, OpenError::Migration { version: 3, .. });
    assert!(is_third, "{error}");
    // The first statement of the script was undone.
    let connection = Connection::open(&path).unwrap();
    connection.prepare("SELECT oddities FROM tasks").unwrap();
}
