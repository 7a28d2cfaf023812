//! `batchtask wait`

use super::NOWHERE;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::notifications::Notification;
use crate::support::program::Program;

fn wait(host: &Host, arguments: &[&str]) -> Program {
    Program::new(["wait", "app", "task-1"])
        .argument_each(arguments)
        .at(host.address())
}

async fn post(host: &Host, status: &str, serial: u64) {
    let changed = Notification {
        status: status.into(),
        task_id: "task-1".into(),
        ..Notification::numbered(serial)
    };
    host.client()
        .post(changed.body())
        .await
        .expect(200, "recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_is_the_class_in_which_the_task_ends() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    // A task that is not known yet is waited for.
    let unknown = wait(&host, &["--timeout", "0s"]).run().expect(6);
    assert_eq!(unknown.stdout, "");
    assert!(unknown.stderr.contains("--timeout"), "{}", unknown.stderr);
    let waiting = wait(&host, &[]).follow();
    post(&host, "Processing", 1).await;
    let open = wait(&host, &["--timeout", "1s"]).run().expect(6);
    assert!(
        open.stdout.starts_with("Processing 2026-"),
        "{}",
        open.stdout
    );
    post(&host, "Success", 2).await;
    assert_eq!(waiting.code(), Some(0));
    for (serial, status, code) in [(3, "Fail", 4), (4, "PartialSuccess", 4), (5, "Stopped", 5)] {
        post(&host, status, serial).await;
        let ended = wait(&host, &["--json"]).run().expect(code);
        assert_eq!(ended.json()["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_receiver_does_not_end_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let relay = crate::support::relay::Relay::start().await;
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let mut host = setup.start();
    relay.point_at(host.address());
    post(&host, "Processing", 1).await;
    let waiting = Program::new(["wait", "app", "task-1"]);
    let mut waiting = waiting.at(relay.address()).follow();
    waiting.says("waiting").await;
    host.kill();
    relay.point_away();
    host = setup.start();
    post(&host, "Success", 2).await;
    relay.point_at(host.address());
    assert_eq!(waiting.code(), Some(0));
}

#[test]
fn what_cannot_be_waited_for_is_an_error_at_once() {
    for (arguments, code) in [
        (&["wait", "app", "task", "--timeout", "soon"][..], 2),
        (&["wait", "app", "task", "--timeout", "-2h"], 2),
        (&["wait", "app"], 2),
        (
            &["wait", "app", "task", "--url", &format!("http://{NOWHERE}")],
            3,
        ),
    ] {
        let program = Program::new(arguments);
        let ended = program.variable(("BATCHTASK_READ_TOKEN", "x")).run();
        assert_eq!(ended.code, Some(code), "{arguments:?} {}", ended.stderr);
    }
}
