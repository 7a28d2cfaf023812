//! Configuration, reload, and `batchtask sinks`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::receiver::{Reaction, Received, Receiver};
use super::{OPERATE_TOKEN, SECRETS, setup, sink, write};
use crate::hosts::tools::{PYTHON, tool};
use crate::support::client::Client;
use crate::support::host::{Host, READ_TOKEN};
use crate::support::notifications::Notification;
use crate::support::program::{Ended, Program};
use crate::support::{EXAMPLE, PATIENCE};

/// Runs `batchtask sinks` with these arguments.
pub(super) fn sinks(host: &Host, arguments: &[&str]) -> Ended {
    let admin = host.admin().address().to_string();
    Program::new(["sinks"])
        .argument_each(arguments)
        .variable(("BATCHTASK_ADMIN", &admin))
        .variable(("BATCHTASK_OPERATE_TOKEN", OPERATE_TOKEN))
        .run()
}

/// Waits until the description of a sink fulfils a condition.
pub(super) async fn until(host: &Host, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let lines = sinks(host, &["list", "--json"]).expect(0).json_lines();
            if let Some(sink) = lines.into_iter().find(|sink| sink["name"] == name)
                && holds(&sink)
            {
                return sink;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("{}", sinks(host, &["list"]).stdout))
}

pub(super) async fn post(host: &Host, from: u64, count: u64) {
    let mut client = host.client();
    for serial in from..from + count {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_adds_and_removes_sinks() {
    let (first, second) = tokio::join!(
        Receiver::start(|_| Reaction::Accept),
        Receiver::start(|_| Reaction::Accept)
    );
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &sink("first", &first.url()));
    let host = setup(folder.path()).start();
    post(&host, 0, 5).await;
    first.accepts(5).await;
    let both = sink("first", &first.url()) + &sink("second", &second.url());
    write(folder.path(), &both);
    host.signal(Signal::HUP);
    host.says(|line| line.contains("reloaded: sink `second` added"))
        .await;
    second.accepts(5).await;
    // An invalid sink changes nothing.
    write(
        folder.path(),
        &(sink("first", &first.url()) + "[[sink]]\nname = 'x'\n"),
    );
    host.signal(Signal::HUP);
    host.says(|line| line.contains("`sink.url` is missing"))
        .await;
    post(&host, 5, 5).await;
    first.accepts(10).await;
    second.accepts(10).await;
    write(folder.path(), &sink("second", &second.url()));
    host.signal(Signal::HUP);
    while sinks(&host, &["list", "--json"])
        .expect(0)
        .json_lines()
        .len()
        != 1
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    post(&host, 10, 5).await;
    second.accepts(15).await;
    host.stop();
    assert_eq!(first.received_count(), 10);
    assert_eq!(second.check(15), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_repair_a_sink() {
    let is_repaired = Arc::new(AtomicBool::new(false));
    let repaired = is_repaired.clone();
    let receiver = Receiver::start(move |received| {
        let is_test = received.json()["type"] == "batchtask.test";
        match is_test || repaired.load(Relaxed) || received.seq() % 2 == 0 {
            true => Reaction::Accept,
            false => Reaction::Answer(422, vec![]),
        }
    });
    let receiver = receiver.await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &sink("ops", &receiver.url()));
    let host = setup(folder.path()).start();
    post(&host, 0, 6).await;
    let status = until(&host, "ops", |sink| sink["dead"] == 3).await;
    assert_eq!(status["state"], "running");
    let error = "the receiver answered 422 Unprocessable Entity: no: a reason";
    assert_eq!(status["last_error"], error);
    let metric = |name: &str| format!("batchtask_sink_{name}{{sink=\"ops\"}}");
    host.counts(|metrics| metrics.value(&metric("dead_letters")) == 3.0)
        .await;
    let table = sinks(&host, &[]).expect(0).stdout;
    assert!(
        table.starts_with("SINK") && table.contains(error),
        "{table}"
    );

    let tested = sinks(&host, &["test", "ops"]).expect(0).stdout;
    assert_eq!(tested, "the sink `ops` accepted the test\n");
    let letters = sinks(&host, &["dead", "list", "ops", "--json"])
        .expect(0)
        .json_lines();
    let seqs: Vec<_> = letters
        .iter()
        .map(|letter| letter["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1, 3, 5]);
    assert_eq!(letters[0]["attempts"], 2);
    let dropped = sinks(&host, &["dead", "drop", "ops", "3"]).expect(0).stdout;
    assert_eq!(dropped, "dead letters that are dropped: 1\n");
    let unknown = sinks(&host, &["dead", "drop", "ops", "3"]).expect(1).stderr;
    assert!(unknown.contains("there is no dead letter 3"), "{unknown}");
    is_repaired.store(true, Relaxed);
    let retried = sinks(&host, &["dead", "retry", "ops", "--all"])
        .expect(0)
        .stdout;
    assert_eq!(retried, "dead letters that are tried again: 2\n");
    until(&host, "ops", |sink| {
        sink["dead"] == 0 && sink["lag_events"] == 0
    })
    .await;

    sinks(&host, &["replay", "ops"]).expect(2);
    sinks(&host, &["replay", "ops", "--from", "2", "--to", "4"]).expect(0);
    until(&host, "ops", |sink| sink["replayed"] == 3).await;
    let task = ["--app-id", "none", "--task", "no ne"];
    sinks(&host, &[&["replay", "ops"], &task[..]].concat()).expect(0);

    sinks(&host, &["pause", "ops"]).expect(0);
    post(&host, 6, 2).await;
    until(&host, "ops", |sink| {
        sink["state"] == "paused" && sink["lag_events"] == 2
    })
    .await;
    let host = host.kill_and_restart();
    until(&host, "ops", |sink| sink["state"] == "paused").await;
    sinks(&host, &["resume", "ops"]).expect(0);
    until(&host, "ops", |sink| {
        sink["state"] == "running" && sink["lag_events"] == 0
    })
    .await;
    let unknown = sinks(&host, &["pause", "other"]).expect(1).stderr;
    assert!(unknown.contains("there is no sink `other`"), "{unknown}");
    host.stop();
}

async fn status(client: &mut Client, method: &str, path: &str, authorization: &str) -> u16 {
    let headers = [("authorization", authorization)];
    let answer = client.exchange(method, path, &headers, b"").await;
    answer.expect("an answer").status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_operators_operate() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "");
    let host = setup(folder.path()).start();
    let right = format!("Bearer {OPERATE_TOKEN}");
    let wrong = "Bearer wrong-token-0123456789";
    let read = format!("Bearer {READ_TOKEN}");
    for mut client in [host.admin(), host.client()] {
        for authorization in ["", "Basic x", wrong, &read] {
            for (method, path) in [
                ("GET", "/sinks"),
                ("POST", "/sinks/ops/pause"),
                ("DELETE", "/quarantine/7"),
            ] {
                let found = status(&mut client, method, path, authorization).await;
                assert_eq!(found, 401, "{method} {path}");
            }
        }
        for (method, path, expected) in [
            ("GET", "/sinks", 200),
            ("POST", "/sinks", 405),
            ("POST", "/sinks/ops/pause", 404),
            ("GET", "/sinks/ops/pause", 405),
            ("POST", "/sinks/ops/dead/drop", 400),
            ("POST", "/sinks/ops/explode", 404),
            ("DELETE", "/quarantine/7", 404),
            ("POST", "/quarantine/7/replay", 404),
            ("DELETE", "/quarantine/7/replay", 405),
        ] {
            let found = status(&mut client, method, path, &right).await;
            assert_eq!(found, expected, "{method} {path}");
        }
        let foreign = [
            ("authorization", right.as_str()),
            ("sec-fetch-site", "cross-site"),
        ];
        let answer = client.exchange("POST", "/sinks/ops/pause", &foreign, b"");
        assert_eq!(answer.await.expect("an answer").status, 403);
    }
    host.stop();
    // Without a token, there are no such paths.
    std::fs::write(folder.path().join("batchtask.toml"), "").unwrap();
    let host = setup(folder.path()).start();
    for mut client in [host.admin(), host.client()] {
        assert_eq!(status(&mut client, "GET", "/sinks", &right).await, 404);
    }
    let refused = Program::new(["sinks"]).run().expect(2).stderr;
    assert!(refused.contains("BATCHTASK_OPERATE_TOKEN"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_operate_sinks_on_their_page() {
    let receiver = Receiver::start(|_| Reaction::Answer(422, vec![])).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &sink("ops", &receiver.url()));
    let host = setup(folder.path()).start();
    post(&host, 0, 2).await;
    until(&host, "ops", |sink| sink["dead"] == 2).await;
    let mut client = host.client();
    let mut summary = client.read("/summary").await;
    while summary["sinks"] != json!({"total": 1, "failing": 1}) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        summary = client.read("/summary").await;
    }
    let (read, operate) = (READ_TOKEN, OPERATE_TOKEN);
    let page = async |client: &mut Client, token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let answer = client.exchange("GET", "/page/sinks", &headers, b"").await;
        answer.expect("an answer").text()
    };
    let seen = page(&mut client, read).await;
    assert!(
        seen.contains("Dead letters, 2") && !seen.contains("<button formaction"),
        "{seen}"
    );
    let seen = page(&mut client, operate).await;
    assert!(
        seen.contains("formaction='../page/sinks/ops/drop?seq=1'"),
        "{seen}"
    );
    let tasks = client.get("/").await.text();
    assert!(tasks.contains("href='./page/sinks'"), "{tasks}");
    let mut press = async |token: &str, button: &str, site: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("sec-fetch-site", site),
        ];
        let target = format!("/page/sinks/{button}");
        let answer = client.exchange("POST", &target, &headers, b"").await;
        let answer = answer.expect("an answer");
        let location = answer.header("location").unwrap_or_default().to_owned();
        (answer.status, location)
    };
    let to = |result: &str| (303, format!("../../sinks?result={result}"));
    assert_eq!(press(operate, "ops/pause", "cross-site").await.0, 403);
    assert_eq!(
        press(read, "ops/pause", "same-origin").await,
        to("forbidden")
    );
    assert_eq!(
        press(operate, "ops/drop?seq=1", "same-origin").await,
        to("done")
    );
    assert_eq!(
        press(operate, "ops/drop?seq=1", "same-origin").await,
        to("failed")
    );
    assert_eq!(
        press(operate, "none/pause", "same-origin").await,
        to("failed")
    );
    assert_eq!(
        press(operate, "ops/test", "same-origin").await,
        to("failed")
    );
    assert_eq!(press(operate, "ops/pause", "same-origin").await, to("done"));
    let paused = until(&host, "ops", |sink| sink["state"] == "paused").await;
    assert_eq!(paused["dead"], 1);
    // Without a login, there is the form, which leads back.
    let answer = client.exchange("GET", "/page/sinks", &[], b"").await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 401);
    assert!(
        answer.text().contains("login?to=page%2Fsinks"),
        "{}",
        answer.text()
    );
    host.stop();
}

/// Runs `batchtask check` with these sinks.
pub(super) fn check(folder: &Path, text: &str) -> Ended {
    std::fs::write(folder.join("b.toml"), text).unwrap();
    Program::new([
        "check",
        "--config",
        "b.toml",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
    ])
    .in_folder(folder)
    .run()
}

#[test]
fn every_fault_of_a_sink_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), format!("{}\n", SECRETS[0])).unwrap();
    let good = format!(
        "[[sink]]\nname = 'a'\nurl = {{ file = 'secret' }}\n\
         [[sink]]\nname = 'b'\nkind = 'webhook'\nurl = 'https://hush.example.com/'\n\
         secret = ['{}', {{ file = 'secret' }}]\nmode = 'binary'\n\
         headers = {{ Authorization = 'Bearer hush', X-Y = {{ file = 'secret' }} }}\n\
         applications = 'a'\ntypes = ['t', 'u']\nstatuses = ['Fail']\n\
         classes = ['open', 'retryable', 'final']\nflags = ['late_form']\nstart = 7\n",
        SECRETS[1]
    );
    let refused = check(folder.path(), &good).expect(2).stderr;
    let expected = [
        "b.toml:3: `sink.url` cannot be used: it must begin with `https://`",
        "b.toml:15: `sink.flags` has the unknown flag `late_form`",
    ];
    assert_faults(&refused, &expected);
    let good = good
        .replace("{ file = 'secret' }\n[[", "'http://127.0.0.1:1/'\n[[")
        .replace("late_form", "legacy_form");
    let valid = check(folder.path(), &good).expect(0).stdout;
    assert!(valid.contains("[[sink]]: name, url (b.toml:1)"), "{valid}");
    assert!(!valid.contains("hush"), "{valid}");

    let bad = "[[sink]]\nname = 'a b'\nurl = 'ftp://hush'\nsecret = 'hush'\nmode = 'both'\n\
        [[sink]]\nname = 'c'\nparallel = 0\nretries = ['5']\nafter_dead = 'stop'\nheadrs = 1\n\
        start = 'then'\nclient_cert = 'missing.pem'\nallow_link_local = 'yes'\n\
        [[sink]]\nname = 'c'\nurl = 'http://169.254.169.254/'\n\
        [[sink]]\nname = 'd'\nurl = 'http://a/'\nheaders = { Host = 'hush' }\nkind = 'fax'\n";
    let refused = check(folder.path(), bad).expect(2).stderr;
    let expected = [
        "b.toml:2: `sink.name` must be 1 to 64 letters",
        "b.toml:4: `sink.secret` must be `whsec_`",
        "b.toml:5: `sink.mode` must be `structured` or `binary`",
        "b.toml:6: `sink.url` is missing",
        "b.toml:8: `sink.parallel` must be a whole number",
        "b.toml:9: `sink.retries` must be a list",
        "b.toml:10: `sink.after_dead` must be `skip` or `hold`",
        "b.toml:11: `sink.headrs` is not a key of a sink; did you mean `sink.headers`?",
        "b.toml:12: `sink.start` must be `now`",
        "b.toml:13: `sink.client_cert` names the file `missing.pem`",
        "b.toml:13: `sink.client_cert` needs `sink.client_key`: set both",
        "b.toml:14: `sink.allow_link_local` must be `true` or `false`",
        "b.toml:16: `sink.name` is the name of another sink, too",
        "b.toml:22: `sink.kind` must be `webhook`, `chat`, `mail` or `component`",
    ];
    assert_faults(&refused, &expected);
    for (text, expected) in [
        (
            "[[sink]]\nname = 'c'\nurl = 'http://169.254.169.254/'\n",
            "b.toml:3: `sink.url` cannot be used: the address is not allowed",
        ),
        (
            "[[sink]]\nname = 'd'\nurl = 'http://a/'\nheaders = { Host = 'hush' }\n",
            "b.toml:4: `sink.headers` cannot be used: `Host` is set by the sink itself",
        ),
        (
            "[sink]\nname = 'd'\n",
            "b.toml:1: `sink` must be a list of tables: write `[[sink]]`",
        ),
        ("sink = 1\n", "b.toml:1: `sink` must be a list of tables"),
    ] {
        assert_faults(&check(folder.path(), text).expect(2).stderr, &[expected]);
    }
}

/// Checks that there are these faults and no others, and that no secret is shown.
#[track_caller]
pub(super) fn assert_faults(refused: &str, expected: &[&str]) {
    let found: Vec<&str> = refused
        .lines()
        .filter(|line| line.contains("b.toml:"))
        .collect();
    assert_eq!(found.len(), expected.len(), "{refused}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.trim().starts_with(expected), "{found}\n{expected}");
    }
    assert!(!refused.contains("hush"), "{refused}");
}

/// Reads `[secrets, requests]`, verifies each request with both secrets, and prints the
/// subject of each.
const VERIFY: &str = r#"
import base64, json, sys
from standardwebhooks.webhooks import Webhook
try:
    from cloudevents.v1.http import from_http
except ImportError:
    from cloudevents.http import from_http
secrets, requests = json.load(sys.stdin)
for headers, body in requests:
    body = base64.b64decode(body)
    for secret in secrets:
        Webhook(secret).verify(body.decode(), headers)
    event = from_http(headers, body)
    attributes = event.get_attributes() if hasattr(event, "get_attributes") else event
    assert attributes["specversion"] == "1.0"
    assert attributes["type"] == "batchtask.update"
    assert attributes["id"] == headers["webhook-id"]
    assert int(attributes["sequence"]) == 1
    print(attributes["subject"])
"#;

fn request_json(received: &Received) -> Value {
    use base64::Engine;
    let headers = received.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let headers: serde_json::Map<String, Value> = headers.collect();
    let body = base64::engine::general_purpose::STANDARD.encode(&received.body);
    json!([headers, body])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_libraries_verify_and_read_both_forms() {
    let Some(python) = tool(PYTHON) else { return };
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    let signed = format!("secret = ['{}', '{}']\n", SECRETS[0], SECRETS[1]);
    let with = |mode: &str| format!("{}{signed}mode = '{mode}'\n", sink(mode, &receiver.url()));
    write(folder.path(), &(with("structured") + &with("binary")));
    let host = setup(folder.path()).start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    receiver.accepts(2).await;
    host.stop();
    let requests: Vec<Value> = receiver.accepted().iter().map(request_json).collect();
    let mut child = Command::new(python)
        .args(["-c", VERIFY])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!([SECRETS, requests]).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the libraries refused it");
    let subject = "1a7ffc5c-d89c-44dd-8265";
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{subject}\n{subject}\n")
    );
}
