//! Failing system calls and failing calls of the component cause an error for one
//! request, and no loss.

use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::EXAMPLE;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::notifications::Notification;

/// A body that does not fit into the memory of the component results in a 500. The next
/// request succeeds, because an instance that trapped is not used again.
#[tokio::test]
async fn a_component_that_traps_ends_one_request() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_MAX_BODY_BYTES", "16777216"))
        .argument("--instance-memory-mib")
        .argument("4")
        .argument("--instance-reuse")
        .argument("1000")
        .with_admin()
        .start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    let much = "[".repeat(8 << 20);
    for round in 1..=3 {
        let answer = client.post(&much).await;
        answer.expect(500, "failed");
        assert!(!answer.text().contains("wasm"), "{}", answer.text());
        client.post(EXAMPLE).await.expect(200, "duplicate");
        let metrics = host.metrics().await;
        let failures = metrics.value("batchtask_component_failures_total");
        assert_eq!(failures, f64::from(round));
        assert_eq!(metrics.requests("failed"), f64::from(round));
        // At most one instance is left, the one for short bodies.
        assert!(metrics.value("batchtask_instances") <= 1.0);
    }
    host.says(|line| line.contains("ERROR") && line.contains("the component failed"))
        .await;
    assert_eq!(host.admin().get("/readyz").await.status, 200);
}

/// Returns a command line under which `strace` tampers with system calls of a program.
/// If that is not allowed, prints a line and returns `None`. With `-D`, `strace` runs as
/// a child of the program and not as its parent, so that the program can be killed.
pub(crate) fn tampering(calls: &str, how: &str) -> Option<Vec<String>> {
    let wrapper: Vec<String> = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(["-e".into(), format!("trace={calls}")])
    .chain(["-e".into(), format!("inject={calls}:{how}")])
    .collect();
    let mut trial = Command::new(&wrapper[0]);
    trial.args(&wrapper[1..]).arg("true");
    let works = trial.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        return Some(wrapper);
    }
    eprintln!("skipped: system calls cannot be tampered with here (strace)");
    None
}

/// Under load, system calls of one kind fail again and again: the affected requests are
/// refused, the host continues, and acknowledged events survive a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_now_and_then_loses_no_acknowledged_event() {
    for (calls, error, when) in [
        ("fdatasync,fsync", "EIO", "20+7"),
        ("fdatasync,fsync", "ENOSPC", "20+7"),
        ("pwrite64", "EIO", "200+37"),
        ("pwrite64", "ENOSPC", "200+37"),
    ] {
        let Some(wrapper) = tampering(calls, &format!("error={error}:when={when}")) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).variable(QUIET);
        // There are many lines, and the first has the address of the admin listener.
        let host = setup.clone().with_admin().keeping_all_lines();
        let host = host.under(wrapper).start();
        let ledger = Arc::new(Ledger::new());
        let load = Load::start(4, &ledger);
        load.point_at(host.address());
        ledger.reaches(150).await;
        let failed = || async {
            host.metrics()
                .await
                .value("batchtask_journal_failed_commits_total")
        };
        while failed().await < 3.0 {}
        let acknowledged = ledger.len();
        ledger.reaches(acknowledged + 50).await;
        let seen = load.end().await;
        assert!(seen.wrong.is_empty(), "{calls} {error}: {:?}", seen.wrong);
        assert!(seen.unavailable > 0, "{calls} {error}");
        assert_eq!(seen.unanswered, 0, "it never closed a connection");
        ledger.check(&mut host.client()).await;
        let failed = failed().await;
        host.kill();
        let host = setup.start();
        let more = ledger.check(&mut host.client()).await;
        eprintln!(
            "{calls} {error}: {failed} commits failed, {} events acknowledged, {more} more kept",
            ledger.len()
        );
        let body = Notification::numbered(9_999_999).body();
        host.client().post(body).await.expect(200, "recorded");
    }
}

/// From some moment on, every call fails: every push is a 503, and reads still work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_permanently_is_a_503_and_reads_still_work() {
    // The start takes about 100 writes for the tables.
    for (calls, error, from) in [("fdatasync,fsync", "EIO", 60), ("pwrite64", "EIO", 300)] {
        let Some(wrapper) = tampering(calls, &format!("error={error}:when={from}+")) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).variable(QUIET);
        let host = setup.clone().with_admin().under(wrapper).start();
        let ledger = Ledger::new();
        let mut client = host.client();
        let mut serial = 0;
        loop {
            let notification = Notification::numbered(serial);
            let body = notification.body();
            let answer = client.post(&body).await;
            if answer.status != 200 {
                answer.expect(503, "journal-unavailable");
                break;
            }
            ledger.acknowledge(notification.status_desc, body);
            serial += 1;
        }
        for _ in 0..20 {
            let answer = client.post(Notification::numbered(serial).body()).await;
            answer.expect(503, "journal-unavailable");
        }
        assert_eq!(host.admin().get("/readyz").await.status, 503);
        assert_eq!(host.admin().get("/healthz").await.status, 200);
        ledger.check(&mut client).await;
        host.kill();
        let more = ledger.check(&mut setup.start().client()).await;
        eprintln!(
            "{calls} {error}: {} acknowledged, {more} more kept",
            ledger.len()
        );
    }
}
