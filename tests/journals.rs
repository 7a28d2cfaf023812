//! Mistakes of operators with a journal, and the commands that prevent them: no
//! acknowledged event is lost without an error.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::EXAMPLE;
use crate::support::client::{Answer, Client};
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::mounts::{mounted_alone, read_only, small_disk};
use crate::support::notifications::Notification;
use crate::support::program::{Ended, Program};

/// Posts a notification, which must be recorded, and adds it to the ledger.
async fn record(client: &mut Client, ledger: &Ledger, serial: u64) {
    let notification = Notification::numbered(serial);
    let body = notification.body();
    client.post(&body).await.expect(200, "recorded");
    ledger.acknowledge(notification.status_desc, body);
}

async fn post(client: &mut Client, serial: u64) -> Answer {
    client.post(Notification::numbered(serial).body()).await
}

/// Returns the path of a file of the journal.
fn file_of(setup: &Setup, suffix: &str) -> PathBuf {
    let mut path = setup.journal().as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Runs a command on the journal of this setup.
fn command(setup: &Setup, name: &str, arguments: &[&str]) -> Ended {
    let journal = format!("sqlite:{}", setup.journal().display());
    let line = [&[name, "--journal", &journal], arguments].concat();
    Program::new(line).run()
}

/// Checks that the start fails with an error that contains these texts, and prints no
/// cause twice.
#[track_caller]
fn refuses(setup: &Setup, texts: &[&str]) -> String {
    let (code, said) = setup.fail();
    assert_eq!(code, Some(1), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("batchtask: "))
        .unwrap_or_else(|| panic!("{said}"));
    for text in texts {
        assert!(line.contains(text), "{text}: {line}");
    }
    assert!(line.matches("os error").count() <= 1, "{line}");
    line.to_owned()
}

/// Checks that an error with this text is logged exactly once. Lines of requests do not
/// count.
async fn said_once(host: &Host, text: &str) {
    let is_said = |line: &str| line.contains("ERROR") && line.contains(text);
    host.says(is_said).await;
    let said = host.said();
    let times = said.lines().filter(|line| is_said(line)).count();
    assert_eq!(times, 1, "{said}");
}

#[tokio::test]
async fn a_copy_in_the_place_of_a_journal_that_crashed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let copy = folder.path().join("copy.db");
    let host = setup.start();
    let (mut client, ledger) = (host.client(), Ledger::new());
    for serial in 0..50 {
        record(&mut client, &ledger, serial).await;
    }
    command(&setup, "backup", &[copy.to_str().unwrap()]).expect(0);
    for serial in 50..450 {
        record(&mut client, &Ledger::new(), serial).await;
    }
    host.kill();
    fs::copy(&copy, setup.journal()).unwrap();
    let log = file_of(&setup, "-wal");
    let log = format!("`{}`", log.display());
    refuses(
        &setup,
        &[&log, "do not belong together", "batchtask restore"],
    );
    // As the message says.
    command(&setup, "restore", &[copy.to_str().unwrap()]).expect(0);
    let host = setup.start();
    assert_eq!(ledger.check(&mut host.client()).await, 0);
}

#[tokio::test]
async fn a_journal_has_one_host_under_all_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (link, target) = (
        folder.path().join("link.db"),
        folder.path().join("target.db"),
    );
    symlink(&target, &link).unwrap();
    let host = Setup::on_journal(&link).start();
    let said = host.says(|line| line.contains("the journal is `")).await;
    let real = format!("`{}`", fs::canonicalize(&target).unwrap().display());
    assert!(said.contains(&real), "{said}");
    let hard = folder.path().join("hard.db");
    fs::hard_link(&target, &hard).unwrap();
    for path in [&link, &target, &hard] {
        refuses(&Setup::on_journal(path), &["is in use by another process"]);
    }
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.stop();
    for path in [&link, &hard] {
        refuses(&Setup::on_journal(path), &["2 hard links", "backup"]);
    }
    fs::remove_file(&hard).unwrap();
    let host = Setup::on_journal(&link).start();
    host.client().post(EXAMPLE).await.expect(200, "duplicate");
}

#[test]
fn a_journal_that_is_mounted_without_its_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    setup.start().stop();
    let Some(wrapper) = mounted_alone(setup.journal()) else {
        return;
    };
    let path = format!("`{}`", setup.journal().display());
    refuses(
        &setup.under(wrapper),
        &[&path, "mount of its own", "Mount the folder"],
    );
}

#[test]
fn a_journal_on_a_disk_that_is_read_only_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    setup.start().stop();
    let Some(wrapper) = read_only(folder.path()) else {
        return;
    };
    let path = format!("`{}`", setup.journal().display());
    refuses(&setup.under(wrapper), &[&path, "Read-only file system"]);
}

#[test]
fn a_journal_on_a_full_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let Some(wrapper) = small_disk(folder.path(), "64k") else {
        return;
    };
    let path = format!("`{}`", setup.journal().display());
    let line = refuses(&setup.under(wrapper), &[&path, "disk is full"]);
    assert_eq!(line.matches("disk is full").count(), 1, "{line}");
}

/// The folder can be written by all users, but a file of the journal belongs to another
/// user.
#[test]
fn a_file_of_another_user_is_named_with_the_cause() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
    let setup = Setup::in_folder(folder.path());
    for suffix in ["", "-wal", "-shm"] {
        let path = file_of(&setup, suffix);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let nobody = ["setpriv", "--reuid=65534", "--clear-groups", "--"];
        let works = std::process::Command::new(nobody[0])
            .args(&nobody[1..])
            .args([env!("CARGO_BIN_EXE_batchtask"), "--version"])
            .status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("skipped: this user cannot run the program");
            return;
        }
        let path = format!("`{}`", path.display());
        refuses(&setup.clone().under(nobody), &[&path, "ermission denied"]);
        let _ = fs::remove_file(file_of(&setup, suffix));
    }
}

#[tokio::test]
async fn the_files_of_a_journal_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lax = ["sh", "-c", "umask 000 && exec \"$@\"", "sh"];
    let setup = Setup::in_folder(folder.path()).under(lax);
    let host = setup.start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.client().read("/tasks").await;
    let backup = folder.path().join("backup.db");
    command(&setup, "backup", &[backup.to_str().unwrap()]).expect(0);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
}

fn truncate(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
}

#[tokio::test]
async fn after_a_truncation_the_next_push_is_a_503_and_it_is_logged_once() {
    for suffix in ["-wal", ""] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).with_admin();
        let host = setup.start();
        let mut client = host.client();
        for serial in 0..20 {
            record(&mut client, &Ledger::new(), serial).await;
        }
        truncate(&file_of(&setup, suffix));
        for serial in 20..25 {
            let answer = post(&mut client, serial).await;
            answer.expect(503, "journal-unavailable");
        }
        said_once(&host, "while it was in use").await;
        assert_eq!(host.admin().get("/readyz").await.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_removed_under_load_is_saved_and_the_service_continues() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let host = setup.start();
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(4, &ledger);
    load.point_at(host.address());
    for _ in 0..5 {
        ledger.reaches(ledger.len() + 200).await;
        host.client().read("/tasks?limit=1").await;
        fs::remove_file(file_of(&setup, "-wal")).unwrap();
    }
    ledger.reaches(ledger.len() + 200).await;
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    assert_eq!((seen.unavailable, seen.unanswered), (0, 0));
    ledger.check(&mut host.client()).await;
    let host = host.kill_and_restart();
    ledger.check(&mut host.client()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_complete_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let host = setup.start();
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(4, &ledger);
    load.point_at(host.address());
    let before = Ledger::new();
    let mut client = host.client();
    for serial in 5_000_000..5_000_050 {
        record(&mut client, &before, serial).await;
    }
    let backup = folder.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    for force in [&[][..], &["--force"]] {
        let line = [force, &[backup]].concat();
        let said = command(&setup, "backup", &line).expect(0).stdout;
        assert!(said.contains(" events, "), "{said}");
    }
    let refused = command(&setup, "backup", &[backup]).expect(1);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    let refused = command(&setup, "restore", &[backup]).expect(1);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    let seen = load.end().await;
    assert_eq!((seen.unavailable, seen.unanswered), (0, 0));
    host.kill();
    command(&setup, "restore", &[backup]).expect(0);
    assert!(!file_of(&setup, "-wal").exists());
    let host = setup.start();
    before.check(&mut host.client()).await;
}

/// A restore that is killed leaves the former journal or that of the backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_leaves_one_of_the_two() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let backup = folder.path().join("backup.db");
    let host = setup.start();
    let mut client = host.client();
    for serial in 0..10 {
        record(&mut client, &Ledger::new(), serial).await;
    }
    command(&setup, "backup", &[backup.to_str().unwrap()]).expect(0);
    for serial in 10..20 {
        record(&mut client, &Ledger::new(), serial).await;
    }
    host.kill();
    let mut counts = Vec::new();
    for _ in 0..20 {
        let journal = format!("sqlite:{}", setup.journal().display());
        let line = ["restore", "--journal", &journal, backup.to_str().unwrap()];
        let restoring = Program::new(line).follow();
        tokio::time::sleep(std::time::Duration::from_millis(counts.len() as u64)).await;
        drop(restoring);
        let host = setup.start();
        let tasks = host.client().read("/tasks?limit=500").await;
        counts.push(tasks["tasks"].as_array().unwrap().len());
        host.kill();
    }
    let former = counts[0];
    assert!(
        counts
            .iter()
            .all(|tasks| [former, counts[19]].contains(tasks)),
        "{counts:?}"
    );
    assert!(counts.is_sorted_by(|one, next| one >= next), "{counts:?}");
}

#[tokio::test]
async fn old_tasks_are_pruned_only_without_a_host_and_not_too_soon() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let refused = command(&setup, "prune", &["--older-than", "30"]).expect(1);
    assert!(refused.stderr.contains("--keep-days"), "{}", refused.stderr);
    host.stop();
    let refused = command(&setup, "prune", &["--older-than", "1"]).expect(2);
    assert!(refused.stderr.contains("at least 2"), "{}", refused.stderr);
    let said = command(&setup, "prune", &["--older-than", "2"])
        .expect(0)
        .stdout;
    assert_eq!(said, "0 events removed\n");
    let (code, said) = setup.clone().argument("--keep-days").argument("1").fail();
    assert_eq!(code, Some(2), "{said}");
}

#[tokio::test]
async fn a_host_removes_old_tasks_and_they_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let host = setup.start();
    let mut notification = Notification::numbered(1);
    notification.status = "Success".into();
    let old = notification.body();
    host.client().post(&old).await.expect(200, "recorded");
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    host.stop();
    // As if the host had been running since then.
    let connection = rusqlite::Connection::open(setup.journal()).unwrap();
    let days_ago = "UPDATE tasks SET last_received_at_ms = last_received_at_ms - 4 * 86400000";
    connection.execute(days_ago, []).unwrap();
    drop(connection);
    let host = setup.argument("--keep-days").argument("3").start();
    let pruned = "batchtask_journal_pruned_events_total";
    host.counts(|metrics| metrics.value(pruned) == 1.0).await;
    host.client().post(&old).await.expect(200, "duplicate");
    let tasks = host.client().read("/tasks").await;
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1);
    let metrics = host.metrics().await;
    for name in [
        "batchtask_journal_size_bytes",
        "batchtask_journal_wal_bytes",
        "batchtask_journal_disk_free_bytes",
        "batchtask_journal_oldest_event_timestamp_seconds",
    ] {
        assert!(metrics.value(name) > 0.0, "{name}");
    }
}

/// Like in URLs of other programs, such a path means a file in the current folder.
#[tokio::test]
async fn two_slashes_do_not_make_a_path_absolute() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("cd '{}' && exec \"$@\"", folder.path().display());
    let setup = Setup::on_journal("//data.db").under(["sh", "-c", &script, "sh"]);
    let host = setup.start();
    let path = fs::canonicalize(folder.path()).unwrap().join("data.db");
    let expected = format!("the journal is `{}`", path.display());
    host.says(|line| line.contains(&expected)).await;
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    assert!(path.exists());
}
