//! A journal that cannot be opened, is full, or is locked results in a clear error at
//! the start, or a 503 later; never in a 200, and never in the end of the process.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::support::EXAMPLE;
use crate::support::client::Answer;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::mounts::small_disk;
use crate::support::notifications::Notification;

/// Locks a journal, as another process would. It cannot be written until the result is
/// dropped.
pub(crate) fn lock(journal: &Path) -> Connection {
    let connection = Connection::open(journal).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection
}

/// Checks that the start fails with an error that names this path.
#[track_caller]
fn refuses(setup: &Setup, path: &Path, why: &str) {
    let (code, said) = setup.fail();
    assert_eq!(code, Some(1), "{said}");
    let path = format!("`{}`", path.display());
    assert!(said.contains(&path), "{path}: {said}");
    assert!(said.contains(why), "{why}: {said}");
}

fn expect_unavailable(answer: &Answer) {
    answer.expect(503, "journal-unavailable");
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn a_folder_that_cannot_be_written_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    let mut setup = Setup::in_folder(folder.path());
    if rustix::process::getuid().is_root() {
        // Root may write anywhere, unless it has given up its capabilities.
        let bare = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
        let works = Command::new(bare[0]).args(&bare[1..]).arg("true").status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("skipped: root cannot give up its capabilities here");
            return;
        }
        setup = setup.under(bare);
    }
    refuses(&setup, setup.journal(), "ermission denied");
}

#[test]
fn a_folder_that_is_missing_or_a_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    refuses(&Setup::in_folder(&missing), &missing, "No such file");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refuses(&Setup::in_folder(&file), &file, "ot a directory");
    refuses(
        &Setup::on_journal(folder.path()),
        folder.path(),
        "does not name a file",
    );
}

#[test]
fn a_file_of_another_program_stops_the_start_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, "no database ".repeat(1000)).unwrap();
    let other = folder.path().join("other.db");
    let connection = Connection::open(&other).unwrap();
    connection
        .execute_batch("CREATE TABLE cats (name TEXT); INSERT INTO cats VALUES ('Tom')")
        .unwrap();
    drop(connection);
    for (file, why) in [
        (&garbage, "not a database"),
        (&other, "database of another program"),
    ] {
        let before = fs::read(file).unwrap();
        refuses(&Setup::on_journal(file), file, why);
        assert_eq!(fs::read(file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_journal_of_a_newer_version_stops_the_start_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.stop();
    let set_version = |version: i32| {
        let connection = Connection::open(setup.journal()).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    };
    let version: i32 = Connection::open(setup.journal())
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    set_version(version + 1);
    refuses(&setup, setup.journal(), "schema version");
    set_version(version);
    setup
        .start()
        .client()
        .post(EXAMPLE)
        .await
        .expect(200, "duplicate");
}

#[tokio::test]
async fn a_journal_that_another_host_uses_stops_the_start_and_not_the_other_host() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    refuses(&setup, setup.journal(), "in use by another process");
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let host = host.kill_and_restart();
    host.client().post(EXAMPLE).await.expect(200, "duplicate");
}

#[tokio::test]
async fn a_damaged_journal_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.stop();
    let mut bytes = fs::read(setup.journal()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(setup.journal(), bytes).unwrap();
    refuses(&setup, setup.journal(), "malformed");
}

/// Data that is written to a removed file is lost when the process ends.
#[tokio::test]
async fn with_a_removed_journal_nothing_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    for suffix in ["", "-wal", "-shm"] {
        let mut path = setup.journal().as_os_str().to_owned();
        path.push(suffix);
        fs::remove_file(path).unwrap();
    }
    expect_unavailable(&client.post(Notification::numbered(1).body()).await);
}

#[tokio::test]
async fn with_a_journal_removed_before_the_first_commit_nothing_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(file_of(&setup, suffix)).unwrap();
    }
    expect_unavailable(&host.client().post(EXAMPLE).await);
}

/// Returns the path of a file of the journal.
fn file_of(setup: &Setup, suffix: &str) -> PathBuf {
    let mut path = setup.journal().as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The other journal has other duplicates, and readers would still read the former one.
#[tokio::test]
async fn with_a_replaced_journal_nothing_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let other = Setup::on_journal(folder.path().join("other.db"));
    other.start().stop();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    fs::rename(other.journal(), setup.journal()).unwrap();
    for serial in 1..4 {
        expect_unavailable(&client.post(Notification::numbered(serial).body()).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_of_another_process_is_a_503_in_time_and_is_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");

    let locked = lock(setup.journal());
    let started = Instant::now();
    expect_unavailable(&client.post(Notification::numbered(1).body()).await);
    assert!(started.elapsed() < Duration::from_secs(10));
    client.read("/tasks").await;
    drop(locked);

    client.post(EXAMPLE).await.expect(200, "duplicate");
    let answer = client.post(Notification::numbered(2).body()).await;
    answer.expect(200, "recorded");
}

/// Starts a host on a small disk, with a file that occupies half of it.
fn host_on_small_disk(folder: &Path) -> Option<Host> {
    let wrapper = small_disk(folder, "8m")?;
    let setup = Setup::in_folder(folder).variable(QUIET).under(wrapper);
    let host = setup.start();
    fs::write(ballast(&host), vec![0; 4 << 20]).unwrap();
    Some(host)
}

fn ballast(host: &Host) -> std::path::PathBuf {
    let journal = host.setup().journal();
    host.path_inside(&journal.with_file_name("ballast"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_a_503_and_what_was_acknowledged_before_and_after_stays() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = host_on_small_disk(folder.path()) else {
        return;
    };
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(8, &ledger);
    load.point_at(host.address());
    let answer = first_refusal(&host).await;
    assert_eq!(answer.status, 503);
    assert!(matches!(
        answer.outcome().as_str(),
        "journal-full" | "journal-unavailable"
    ));
    assert!(answer.header("retry-after").is_some());
    let acknowledged = ledger.len();
    assert!(acknowledged > 100, "there was room for {acknowledged}");
    host.client().read("/tasks?limit=1").await;

    fs::remove_file(ballast(&host)).unwrap();
    ledger.reaches(acknowledged + 100).await;
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert!(seen.unavailable > 0);
    assert_eq!(seen.unanswered, 0, "it never closed a connection");
    ledger.check(&mut host.client()).await;
}

/// The files are copied while the disk is full, as after a crash at this moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_while_the_disk_is_full_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = host_on_small_disk(folder.path()) else {
        return;
    };
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(8, &ledger);
    load.point_at(host.address());
    first_refusal(&host).await;
    load.end().await;
    host.freeze();
    let other = tempfile::tempdir().unwrap();
    for name in ["batchtask.db", "batchtask.db-wal"] {
        let from = host.path_inside(&folder.path().join(name));
        fs::copy(from, other.path().join(name)).unwrap();
    }
    host.kill();
    let host = Setup::in_folder(other.path()).variable(QUIET).start();
    ledger.check(&mut host.client()).await;
}

/// Posts until an answer is not 200, which must happen when the disk is full.
async fn first_refusal(host: &Host) -> Answer {
    const EVENTS_MAX: u64 = 10_000;
    let mut client = host.client();
    for serial in 0..EVENTS_MAX {
        let mut notification = Notification::numbered(1_000_000 + serial);
        notification.status_desc += &"x".repeat(2000);
        let answer = client.post(notification.body()).await;
        if answer.status != 200 {
            return answer;
        }
    }
    panic!("the disk does not fill up");
}
