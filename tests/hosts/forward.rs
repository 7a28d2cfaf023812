//! `receiver-forward.wasm` and `receiver-forward-p3.wasm` on other hosts, and the messages
//! that they post.

mod sink;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use self::sink::{Answer, Sink};
use super::artifacts::artifact;
use super::process::{Process, free_address};
use super::suite::{self, Journal, Refuses};
use super::tools::{JCO, PYTHON, WASMTIME, tool};
use crate::support::EXAMPLE;
use crate::support::host::READ_TOKEN;
use crate::support::notifications::Notification;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn variables(sink: &Sink) -> [(&'static str, String); 3] {
    [
        ("BATCHTASK_FORWARD_URL", sink.url()),
        ("BATCHTASK_FORWARD_SECRET", SECRET.into()),
        ("BATCHTASK_READ_TOKEN", READ_TOKEN.into()),
    ]
}

/// Starts `wasmtime serve` with a component, the variables of the settings and these
/// options.
fn wasmtime_serve(component: &str, sink: &Sink, options: &[&str]) -> Option<Process> {
    let mut command = Command::new(tool(WASMTIME)?);
    let address = free_address();
    command.args(["serve", "-Scli", "--addr", &address.to_string()]);
    command.args(options);
    for (name, value) in variables(sink) {
        command.args(["--env", &format!("{name}={value}")]);
    }
    command.arg(artifact(component)).stdout(Stdio::null());
    Some(Process::start(command, address))
}

fn jco_serve(sink: &Sink) -> Option<Process> {
    let mut command = Command::new("node");
    command.arg(tool(JCO)?).arg("serve");
    let address = free_address();
    command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
    command.arg(artifact("receiver-forward.wasm"));
    command.envs(variables(sink)).stdout(Stdio::null());
    Some(Process::start(command, address))
}

#[tokio::test]
async fn wasmtime_serve_conforms() {
    let sink = Sink::start().await;
    if let Some(host) = wasmtime_serve("receiver-forward.wasm", &sink, &[]) {
        forwards(&host, &sink).await;
    }
}

#[tokio::test]
async fn wasmtime_serve_conforms_over_wasi_0_3() {
    let sink = Sink::start().await;
    if let Some(host) = wasmtime_serve("receiver-forward-p3.wasm", &sink, &[]) {
        forwards(&host, &sink).await;
    }
}

/// How many posts must wait for the endpoint at the same time.
const TOGETHER: usize = 4;

#[tokio::test]
async fn one_instance_of_wasi_0_3_waits_for_many_posts_at_once() {
    const ONE_INSTANCE: &str = "pooling-allocator=y,pooling-total-component-instances=1";
    let sink = Sink::start().await;
    sink.answer(Answer::Together(TOGETHER));
    let component = "receiver-forward-p3.wasm";
    let Some(host) = wasmtime_serve(component, &sink, &["-O", ONE_INSTANCE]) else {
        return;
    };
    let mut pushes = JoinSet::new();
    for serial in 0..16 {
        let mut client = host.client();
        pushes.spawn(async move {
            let body = Notification::numbered(serial).body();
            // The host answers 500 as long as it wants another instance for the push.
            loop {
                let answer = client.post(&body).await;
                if answer.status != 500 {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    // The endpoint answers the first post only when `TOGETHER` posts have arrived.
    let answers = tokio::time::timeout(Duration::from_secs(60), pushes.join_all());
    for answer in answers.await.expect("posts that wait together") {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn jco_serve_conforms() {
    let sink = Sink::start().await;
    if let Some(host) = jco_serve(&sink) {
        forwards(&host, &sink).await;
    }
}

async fn forwards(host: &Process, sink: &Sink) {
    let mut client = host.client();
    suite::conforms(&mut client, Journal::Forwards, Refuses::Heads).await;
    let posted = sink.posted();
    let ids: Vec<_> = posted
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    assert_eq!(ids[0], ids[1], "a repetition has the same id");
    assert_ne!(ids[1], ids[2]);
    let first = posted[0].json();
    assert_eq!(first["id"], ids[0]);
    assert_eq!(first["data"]["body"], EXAMPLE);
    verify(&posted[0]);

    // Each post is answered at once, which must not be mistaken for a broken connection.
    for serial in 0..200 {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
    for answer in [Answer::Status(500), Answer::Status(302), Answer::Closed] {
        sink.answer(answer);
        suite::is_unavailable(&mut client).await;
    }
    sink.answer(Answer::Never);
    let start = Instant::now();
    suite::is_unavailable(&mut client).await;
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

/// Checks that independent libraries accept the message: `standardwebhooks` and
/// `cloudevents` from the Python package index.
fn verify(posted: &sink::Posted) {
    const SCRIPT: &str = r#"
import json, sys
from datetime import datetime
from standardwebhooks.webhooks import Webhook
try:
    from cloudevents.v1.http import from_http
except ImportError:
    from cloudevents.http import from_http

secret, headers, body = json.load(sys.stdin)
Webhook(secret).verify(body, headers)
event = from_http(headers, body.encode())
attributes = event.get_attributes() if hasattr(event, "get_attributes") else event
assert attributes["specversion"] == "1.0"
assert attributes["type"] == "batchtask.update"
assert attributes["id"] == headers["webhook-id"]
print(attributes["subject"])
"#;
    let Some(python) = tool(PYTHON) else { return };
    let mut command = Command::new(python);
    command
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let input = json!([SECRET, posted.headers, posted.body]).to_string();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let mut subject = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut subject).expect("text");
    assert!(
        child.wait().expect("a child").success(),
        "the libraries refused it"
    );
    assert_eq!(subject.trim(), "1a7ffc5c-d89c-44dd-8265");
}
