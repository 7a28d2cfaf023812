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

#[tokio::test]
async fn what_is_recorded_is_there_after_a_restart() {
    let journal = Fixture::new();
    journal.record(event("task", "Success", NOW_MS)).await;
    let journal = journal.reopen();
    assert_eq!(journal.task("task").await.status, "Success");
    let again = journal.append(event("task", "Success", NOW_MS), None).await;
    assert_eq!(again.unwrap(), Appended::Duplicate);
    journal.record(event("task", "Fail", NOW_MS + 1)).await;
    let seqs: Vec<u64> = journal
        .history("task")
        .await
        .iter()
        .map(|event| event.seq)
        .collect();
    assert_eq!(seqs, [1, 2]);
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
    journal.close();
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
    journal.close();
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
    journal.close();
    let other = Connection::open(journal.path()).unwrap();
    other
        .pragma_update(None, "locking_mode", "exclusive")
        .unwrap();
    other
        .execute_batch("BEGIN EXCLUSIVE; UPDATE totals SET commits = 0; COMMIT")
        .unwrap();
    assert!(matches!(refusal(journal.path()), OpenError::InUse { .. }));
}
