//! Which files are journals, and for whom.

use std::fs;

use super::*;

fn open(path: &Path) -> Result<SqliteJournal, OpenError> {
    SqliteJournal::open(path, Options::default())
}

#[track_caller]
fn refusal(path: &Path) -> OpenError {
    open(path).err().expect("refused")
}

/// A database that is not made by this program, with `sql` run in it.
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
fn a_folder_that_takes_no_files_is_refused() {
    // Not even the superuser makes files here.
    let error = refusal(Path::new("/proc/self/journal.db"));
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
}

#[test]
fn a_folder_is_no_file() {
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
async fn closing_leaves_the_database_alone_behind() {
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
