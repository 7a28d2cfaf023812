//! The admin listener: liveness, readiness and metrics, never on the public port.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::disks::lock;
use crate::example::without_intake;
use crate::support::EXAMPLE;
use crate::support::host::Setup;
use crate::support::notifications::Notification;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_and_readiness_are_distinguished() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let host = setup.start();
    let mut admin = host.admin();
    for (target, says) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let answer = admin.get(target).await;
        assert_eq!((answer.status, &*answer.text()), (200, says));
    }
    let locked = lock(setup.journal());
    let answer = admin.get("/readyz").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.text().contains("ready"));
    assert_eq!(admin.get("/healthz").await.status, 200);
    assert_eq!(admin.get("/metrics").await.status, 200);
    drop(locked);
    assert_eq!(admin.get("/readyz").await.status, 200);
    // The check leaves no event behind.
    let events = host.client().read("/events").await;
    assert_eq!(events["last_seq"], 0);
}

#[tokio::test]
async fn it_has_three_resources_which_the_public_port_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    let mut admin = host.admin();
    for target in ["/", "/notifications", "/tasks", "/metrics/", "/healthz/x"] {
        assert_eq!(admin.get(target).await.status, 404, "{target}");
    }
    for target in ["/healthz", "/readyz", "/metrics"] {
        let public = host.client().get(target).await;
        public.expect(404, "not-found");
        let head = admin.request("HEAD", target, &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        let answer = admin.request("POST", target, &[], b"").await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn it_counts_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let host = setup.argument("--instance-reuse").argument("1").start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    for _ in 0..2 {
        client.post(EXAMPLE).await.expect(200, "duplicate");
    }
    for (serial, status) in (0..).zip(["Waitting", "Processing", "Processing", "Success"]) {
        let status = status.into();
        let notification = Notification {
            status,
            ..Notification::numbered(serial)
        };
        client
            .post(notification.body())
            .await
            .expect(200, "recorded");
    }
    client.post("[]").await.expect(422, "not-a-notification");
    client.get("/nowhere").await.expect(404, "not-found");
    let metrics = host.metrics().await;
    for (outcome, times) in [
        ("recorded", 5.0),
        ("duplicate", 2.0),
        ("not-a-notification", 1.0),
        ("not-found", 1.0),
    ] {
        assert_eq!(metrics.requests(outcome), times, "{outcome}");
    }
    let posts = "batchtask_request_duration_seconds_count{method=\"POST\"}";
    let build = format!(
        "batchtask_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in [
        (posts, 8.0),
        ("batchtask_journal_recorded_total", 5.0),
        ("batchtask_journal_duplicates_total", 2.0),
        ("batchtask_journal_failed_commits_total", 0.0),
        ("batchtask_journal_waiting_writes", 0.0),
        ("batchtask_component_failures_total", 0.0),
        ("batchtask_in_flight_requests", 0.0),
        ("batchtask_connections", 1.0),
        ("batchtask_tasks{class=\"open\"}", 4.0),
        ("batchtask_tasks{class=\"final\"}", 1.0),
        ("batchtask_stale_tasks", 0.0),
        (&build, 1.0),
    ] {
        assert_eq!(metrics.value(name), value, "{name}");
    }
    // One instance for each of the nine requests, and one that checked the settings.
    assert!(metrics.value("batchtask_instantiations_total") >= 10.0);
    assert_eq!(metrics.value("batchtask_instances"), 0.0);
    let commits = metrics.value("batchtask_journal_commit_duration_seconds_count");
    assert_eq!(commits, metrics.value("batchtask_journal_commits_total"));
    assert!(commits > 0.0);
    assert!(metrics.value("batchtask_last_notification_timestamp_seconds") > 1.7e9);
}

/// The label of an outcome comes from a fixed set, even if a component reports no
/// outcome, or unknown outcomes.
#[tokio::test]
async fn a_component_cannot_name_labels_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("component.wasm");
    std::fs::write(&component, without_intake()).unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let host = setup.argument("--component").argument(component).start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    client.post(EXAMPLE).await.expect(200, "duplicate");
    client.post("no JSON").await.expect(400, "not-json");
    client.post("{}").await.expect(422, "not-a-notification");
    for target in ["/nowhere", "/tasks/a/b", "/notifications/x"] {
        client.get(target).await.expect(404, "not-found");
    }
    client
        .get("/notifications")
        .await
        .expect(405, "method-not-allowed");
    let tag = client.get("/tasks").await;
    let tag = tag.header("etag").expect("a tag").to_owned();
    let known = [("if-none-match", &*tag)];
    let known = client.request("GET", "/tasks", &known, b"").await;
    assert_eq!(known.status, 304);
    let metrics = host.metrics().await;
    for (label, times) in [("2xx", 3.0), ("3xx", 1.0), ("4xx", 6.0), ("5xx", 0.0)] {
        assert_eq!(metrics.requests(label), times, "{label}");
    }
    assert_eq!(metrics.sum("batchtask_requests_total"), 10.0);
}

/// Prometheus' own check of names, units and format.
#[tokio::test]
async fn promtool_reports_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let text = host.admin().get("/metrics").await.text();
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool (Debian: prometheus) is not installed");
        return;
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said.trim(), "");
}
