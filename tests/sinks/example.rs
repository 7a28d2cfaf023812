//! The receiver in `examples/receiver.py`, which uses published libraries.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::operations::until;
use super::{SECRETS, setup, sink, write};
use crate::hosts::artifacts::root;
use crate::hosts::tools::{PYTHON, tool};
use crate::support::EXAMPLE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_verifies_both_forms_and_ignores_repetitions() {
    let Some(python) = tool(PYTHON) else { return };
    let mut child = Command::new(python)
        .arg(root().join("examples/receiver.py"))
        .arg("0")
        .env("WEBHOOK_SECRET", SECRETS[0])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().expect("a line").unwrap();
    let port = line();
    let port = port.strip_prefix("listening on ").expect("the port");
    let url = format!("http://127.0.0.1:{port}/");
    let with = |name: &str, mode: &str, secret: &str| {
        format!("{}mode = '{mode}'\nsecret = '{secret}'\n", sink(name, &url))
    };
    let folder = tempfile::tempdir().unwrap();
    let text = [
        with("structured", "structured", SECRETS[0]),
        with("binary", "binary", SECRETS[0]),
        with("wrong", "structured", SECRETS[1]),
    ];
    write(folder.path(), &text.concat());
    let host = setup(folder.path()).start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    for name in ["structured", "binary"] {
        until(&host, name, |sink| sink["delivered"] == 1).await;
    }
    let wrong = until(&host, "wrong", |sink| sink["dead"] == 1).await;
    assert_eq!(wrong["delivered"], 0);
    host.stop();
    let mut said = [line(), line()];
    said.sort();
    assert!(said[0].starts_with("again "), "{said:?}");
    let event = "batchtask.update /apps/1a7ffc5c-d89c-44dd-8265-b1653d951ce0 \
                 1a7ffc5c-d89c-44dd-8265";
    assert_eq!(said[1], event);
    child.kill().unwrap();
    child.wait().unwrap();
}
