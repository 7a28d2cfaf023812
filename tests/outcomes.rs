//! Every kind of request has one outcome.
//!
//! Each row of a table here is a case: a request, its answer, and what is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use batchtask_guest::outcomes::{Outcome, Refusal, Success};
use batchtask_host::component::{Request, Response};
use batchtask_host::intake::outcome;
use batchtask_host::limits::Limits;
use batchtask_journal::{Error, MemoryJournal};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::example::{both_ways, without_intake};
use crate::support::client::Client;
use crate::support::embedding::{Embedding, FaultyJournal, json_of, message, request};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::ledger::{all_events, all_pages};
use crate::support::{EXAMPLE, EXAMPLE_TASK};

/// What is stored for a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Event,
    Count,
    Quarantine,
    Nothing,
}

/// A kind of request, its answer, and what is stored.
struct Row {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Vec<u8>,
    status: u16,
    outcome: &'static str,
    flags: &'static [&'static str],
    kept: Kept,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const SECRET: &str = "a-secret-path-segment";
const SECRET_PATH: &str = "/notifications/a-secret-path-segment";

fn post(name: &'static str, body: impl Into<Vec<u8>>) -> Row {
    Row {
        name,
        method: "POST",
        target: "/notifications",
        headers: JSON,
        body: body.into(),
        status: 200,
        outcome: "recorded",
        flags: &[],
        kept: Kept::Event,
    }
}

impl Row {
    fn to(self, method: &'static str, target: &'static str) -> Self {
        Self {
            method,
            target,
            ..self
        }
    }

    fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    fn flagged(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    fn expecting(self, status: u16, outcome: &'static str, kept: Kept) -> Self {
        Self {
            status,
            outcome,
            kept,
            ..self
        }
    }

    fn quarantined(self) -> Self {
        self.expecting(200, "quarantined", Kept::Quarantine)
    }

    fn refused(self, status: u16, outcome: &'static str) -> Self {
        self.expecting(status, outcome, Kept::Nothing)
    }
}

/// Sends the request of each row, and checks the answer and what is stored.
async fn check(host: &Host, rows: Vec<Row>) {
    let mut client = host.client();
    for row in rows {
        eprintln!("row: {}", row.name);
        let before = kept(&mut client).await;
        let Row {
            method,
            target,
            headers,
            ref body,
            ..
        } = row;
        let answer = client.exchange(method, target, headers, body).await;
        let answer = answer.expect("an answer");
        answer.expect(row.status, row.outcome);
        let after = kept(&mut client).await;
        let kept: Vec<usize> = before.iter().zip(&after).map(|(b, a)| a - b).collect();
        let expected = match row.kept {
            Kept::Event => [1, 0, 0],
            Kept::Count => [0, 1, 0],
            Kept::Quarantine => [0, 0, 1],
            Kept::Nothing => [0, 0, 0],
        };
        assert_eq!(kept, expected, "events, duplicates, quarantine");
        if row.kept == Kept::Event {
            assert_eq!(flags(&answer.json()), row.flags);
            let stored = all_events(&mut client).await.pop().expect("an event");
            assert_eq!(stored["body"].as_str().unwrap().as_bytes(), body);
            // The journal adds the flag `late`, which depends on other events.
            let own: Vec<_> = flags(&stored)
                .into_iter()
                .filter(|flag| *flag != "late")
                .collect();
            assert_eq!(own, row.flags);
        }
    }
}

/// Returns the numbers of events, duplicates and rejects.
async fn kept(client: &mut Client) -> [usize; 3] {
    let events = all_events(client).await;
    let duplicates = events.iter().filter_map(|e| e["duplicates"].as_u64());
    let rejects = all_pages(client, "/quarantine?limit=500", "rejects").await;
    [
        events.len(),
        duplicates.sum::<u64>() as usize,
        rejects.len(),
    ]
}

fn flags(value: &Value) -> Vec<&str> {
    let flags = value["flags"].as_array().map(Vec::as_slice);
    let flags = flags.unwrap_or_default().iter();
    flags.map(|flag| flag.as_str().unwrap()).collect()
}

fn setup() -> (tempfile::TempDir, Setup) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    (folder, setup)
}

/// The example's value with another `status_desc`, so that it is another event.
fn example(status_desc: &str) -> Value {
    let mut value: Value = serde_json::from_str(EXAMPLE).unwrap();
    value["notify_data"]["body"]["status_desc"] = json!(status_desc);
    value
}

fn legacy(status_desc: &str) -> Value {
    let value = example(status_desc);
    let fields = value["notify_data"]["body"].clone();
    json!({"resource": "batchtask.status", "event": "update", "notify_data": fields})
}

fn dead_letter(message: &Value) -> String {
    let payload = BASE64_STANDARD.encode(message.to_string());
    json!({"request_id": "r", "rule_id": "u", "action_id": "a", "channel": "HTTP_FORWARDING",
        "base64_original_payload": payload})
    .to_string()
}

fn changed(status_desc: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = example(status_desc);
    change(&mut value);
    value.to_string()
}

fn without_task_id() -> String {
    changed("", |value| {
        value["notify_data"]["body"]
            .as_object_mut()
            .unwrap()
            .remove("task_id");
    })
}

#[tokio::test]
async fn a_batch_task_notification_is_recorded_in_each_of_its_forms() {
    let (_folder, setup) = setup();
    for setup in both_ways(setup) {
        let host = setup.start();
        check(&host, forms()).await;
        let task = host.client().read(EXAMPLE_TASK).await;
        assert_eq!(
            task["request_ids"],
            json!(["3fe58d5e-8697-4849-a165-7db128f7e776", "another"])
        );
    }
}

fn forms() -> Vec<Row> {
    vec![
        post("today's form", EXAMPLE),
        post("the same again", EXAMPLE).expecting(200, "duplicate", Kept::Count),
        post("the form of 2020", legacy("2").to_string())
            .flagged(&["legacy_form", "no_event_time"]),
        post("a dead letter", dead_letter(&example("3"))),
        post("what was in a dead letter", example("3").to_string()).expecting(
            200,
            "duplicate",
            Kept::Count,
        ),
        post(
            "a dead letter around the form of 2020",
            dead_letter(&legacy("4")),
        )
        .flagged(&["legacy_form", "no_event_time"]),
        post(
            "another trace id",
            changed("status_desc", |value| {
                value["request_id"] = json!("another");
            }),
        )
        .expecting(200, "duplicate", Kept::Count),
        post("no media type", example("5").to_string()).with(&[]),
        post("a media type with a parameter", example("6").to_string())
            .with(&[("content-type", "Application/JSON; charset=utf-8")]),
    ]
}

#[tokio::test]
async fn a_flagged_notification_is_kept_word_for_word() {
    let (_folder, setup) = setup();
    for setup in both_ways(setup) {
        check(&setup.start(), flagged_rows()).await;
    }
}

fn flagged_rows() -> Vec<Row> {
    let set = |status_desc: &str, pointer: &str, value: Value| {
        changed(status_desc, |example| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let parent = example.pointer_mut(parent).unwrap().as_object_mut();
            parent.unwrap().insert(name.into(), value);
        })
    };
    let unset = |status_desc: &str, member: &str| {
        changed(status_desc, |example| {
            example.as_object_mut().unwrap().remove(member);
        })
    };
    vec![
        post(
            "an unknown status",
            set("1", "/notify_data/body/status", json!("Pausé ✗")),
        )
        .flagged(&["unknown_status"]),
        post(
            "an unknown type",
            set("2", "/notify_data/body/task_type", json!("x\u{0}y")),
        )
        .flagged(&["unknown_type"]),
        post(
            "extra fields",
            set("3", "/notify_data/body/devices", json!([{"id": 7}])),
        )
        .flagged(&["extra_fields"]),
        post("a null trace id", set("4", "/request_id", json!(null))),
        post(
            "a null `event_time_ms`",
            set("5", "/event_time_ms", json!(null)),
        ),
        post("a null `event_time`", set("6", "/event_time", json!(null)))
            .flagged(&["no_event_time"]),
        post("a BOM", "\u{feff}".to_owned() + &example("7").to_string()),
        post("no `event_time`", unset("8", "event_time")).flagged(&["no_event_time"]),
        post("no `event_time_ms`", unset("9", "event_time_ms")),
        post(
            "times that disagree",
            set("10", "/event_time_ms", json!("2015-12-12T12:12:14.000Z")),
        )
        .flagged(&["time_mismatch"]),
        post(
            "a date in the future",
            changed("11", |example| {
                example["event_time"] = json!("29990101T000000Z");
                example["event_time_ms"] = json!("2999-01-01T00:00:00.000Z");
            }),
        )
        .flagged(&["clock_skew"]),
        post(
            "`event_time_ms` without milliseconds",
            set("12", "/event_time_ms", json!("2015-12-12T12:12:12Z")),
        )
        .flagged(&["irregular_fields"]),
        post(
            "a trace id that is a number",
            set("13", "/request_id", json!(7)),
        )
        .flagged(&["irregular_fields"]),
        post(
            "a null `status_desc`",
            set("", "/notify_data/body/status_desc", json!(null)),
        )
        .flagged(&["irregular_fields"]),
        post(
            "times that are numbers",
            changed("14", |example| {
                example["event_time"] = json!(1449922332);
                example["event_time_ms"] = json!(1449922332000_u64);
            }),
        )
        .flagged(&["no_event_time", "irregular_fields"]),
    ]
}

fn unprocessable() -> Vec<Row> {
    let sibling = json!({"resource": "device.status", "event": "update",
        "event_time": "20151212T121212Z", "notify_data": {"header": {}, "body": {}}});
    vec![
        post("a sibling event", sibling.to_string()).refused(422, "not-a-notification"),
        post("a connectivity test", r#"{"hello":"world"}"#).refused(422, "not-a-notification"),
        post("a missing field", without_task_id()).refused(422, "not-a-notification"),
        post(
            "a field of the wrong type",
            EXAMPLE.replace("\"Waitting\"", "7"),
        )
        .refused(422, "not-a-notification"),
        post(
            "a dead letter with something else inside",
            dead_letter(&sibling),
        )
        .refused(422, "not-a-notification"),
        post("JSON of too many levels", "[".repeat(65) + &"]".repeat(65))
            .refused(422, "not-a-notification"),
        post("half a JSON text", "{").refused(400, "not-json"),
        post("an empty body", "").refused(400, "not-json"),
        post("no UTF-8", b"\"\xff\"").refused(400, "not-json"),
    ]
}

fn unprocessable_at_the_secret_path() -> Vec<Row> {
    let rows = unprocessable().into_iter();
    rows.map(|row| row.to("POST", SECRET_PATH)).collect()
}

fn all_quarantined(rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().map(Row::quarantined).collect()
}

#[tokio::test]
async fn auto_refuses_what_is_no_notification_when_the_sender_is_not_proven() {
    let (_folder, setup) = setup();
    for setup in both_ways(setup) {
        check(&setup.start(), unprocessable()).await;
    }
}

#[tokio::test]
async fn auto_quarantines_what_is_no_notification_when_the_sender_is_proven() {
    let (_folder, setup) = setup();
    let host = setup.variable(("BATCHTASK_PATH_SECRET", SECRET)).start();
    check(&host, all_quarantined(unprocessable_at_the_secret_path())).await;
    let rows = vec![
        post("no secret", EXAMPLE).refused(404, "not-found"),
        post("a wrong secret", EXAMPLE)
            .to("POST", "/notifications/a-secret-path-segmenT")
            .refused(404, "not-found"),
        post("the secret", EXAMPLE).to("POST", SECRET_PATH),
        post("too many slashes", example("slashes").to_string())
            .to("POST", "//notifications//a-secret-path-segment/"),
    ];
    check(&host, rows).await;
    check(&host, labelled().collect()).await;
}

/// The body of a proven sender is read as JSON, whatever its media type is.
fn labelled() -> impl Iterator<Item = Row> {
    const LABELS: [&[(&str, &str)]; 7] = [
        &[("content-type", "")],
        &[
            ("content-type", "application/json"),
            ("content-type", "application/json"),
        ],
        &[("content-type", "text/json")],
        &[("content-type", "application/cloudevents+json")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-encoding", "")],
    ];
    LABELS.into_iter().enumerate().map(|(at, headers)| {
        post("another label", example(&at.to_string()).to_string())
            .to("POST", SECRET_PATH)
            .with(headers)
    })
}

/// The check of a load balancer works with and without settings.
#[tokio::test]
async fn a_load_balancer_is_answered_on_the_public_port() {
    let (_folder, setup) = setup();
    let secret = setup.clone().variable(("BATCHTASK_PATH_SECRET", SECRET));
    for setup in [setup.variable(("BATCHTASK_READ_TOKEN", "")), secret] {
        let host = setup.start();
        let mut client = host.client();
        let answer = client.exchange("GET", "/health", &[], b"").await.unwrap();
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, r#"{"status":"up"}"#)
        );
        let answer = client.exchange("HEAD", "/health", &[], b"").await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        for request in [
            "OPTIONS / HTTP/1.1\r\nhost: h\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
            "OPTIONS /health HTTP/1.1\r\nhost: h\r\n\r\n",
        ] {
            let answer = host
                .client()
                .exchange_bytes(request.as_bytes(), false)
                .await;
            let answer = answer.unwrap_or_else(|failure| panic!("{request}: {failure:?}"));
            assert_eq!(answer.status, 204, "{request}");
            assert_eq!(
                answer.header("allow"),
                Some("GET, HEAD, OPTIONS"),
                "{request}"
            );
        }
        let mut stream = TcpStream::connect(host.address()).await.unwrap();
        stream
            .write_all(b"OPTIONS / HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 204 "), "{answer}");
    }
}

/// Four changes without times, which differ in their trace ids.
#[tokio::test]
async fn changes_in_the_form_of_2020_are_distinguished_by_their_trace_ids() {
    let (_folder, setup) = setup();
    for setup in both_ways(setup) {
        let host = setup.start();
        let mut client = host.client();
        for (serial, status) in ["Processing", "Fail", "Processing", "Fail"]
            .iter()
            .enumerate()
        {
            let mut body = legacy("");
            body["notify_data"]["status"] = json!(status);
            body["request_id"] = json!(serial.to_string());
            client.post(body.to_string()).await.expect(200, "recorded");
            let task = client.read(EXAMPLE_TASK).await;
            assert_eq!(
                (&task["status"], &task["events"]),
                (&json!(status), &json!(serial + 1))
            );
            client.post(body.to_string()).await.expect(200, "duplicate");
        }
    }
}

#[tokio::test]
async fn accept_quarantines_what_is_no_notification_whoever_sent_it() {
    let (_folder, setup) = setup();
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    check(&host, all_quarantined(unprocessable())).await;
}

#[tokio::test]
async fn reject_refuses_what_is_no_notification_even_from_a_proven_sender() {
    let (_folder, setup) = setup();
    let setup = setup.variable(("BATCHTASK_UNPROCESSABLE", "reject"));
    let host = setup.variable(("BATCHTASK_PATH_SECRET", SECRET)).start();
    check(&host, unprocessable_at_the_secret_path()).await;
}

#[tokio::test]
async fn the_quarantine_shows_the_reason_and_the_body() {
    let (_folder, setup) = setup();
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    let mut client = host.client();
    let incomplete = without_task_id();
    client.post(&incomplete).await.expect(200, "quarantined");
    client.post(b"\"\xff\"").await.expect(200, "quarantined");
    let rejects = all_pages(&mut client, "/quarantine?limit=1", "rejects").await;
    let [binary, text] = rejects.as_slice() else {
        panic!("two rejects: {rejects:?}");
    };
    assert_eq!(text["reason"], "not-a-notification");
    assert_eq!(text["pointer"], "/notify_data/body/task_id");
    assert_eq!(text["body"], incomplete);
    assert_eq!(text["bytes"], incomplete.len());
    assert_eq!(binary["reason"], "not-json");
    assert_eq!(binary["body_base64"], "Iv8i");
    assert_eq!(binary["bytes"], 3);
}

#[tokio::test]
async fn an_enforced_sender_check_that_fails_is_401() {
    let (_folder, setup) = setup();
    let setup = setup.variable(("BATCHTASK_SIGNATURE", "enforce"));
    let host = setup.variable(("BATCHTASK_TOKEN", "token123")).start();
    let signed: &[_] = &[
        ("content-type", "application/json"),
        ("timestamp", "1604458421"),
        ("nonce", "IkOaKMDalrAzUTxC"),
        ("signature", "00"),
    ];
    let rows = vec![
        post("no signature", EXAMPLE).refused(401, "unauthorized"),
        post("a wrong signature", EXAMPLE)
            .with(signed)
            .refused(401, "unauthorized"),
        post("no signature on what is no JSON", "{").refused(401, "unauthorized"),
    ];
    check(&host, rows).await;
}

#[tokio::test]
async fn other_requests_are_refused_and_nothing_is_stored() {
    let (_folder, setup) = setup();
    let host = setup.start();
    let large = " ".repeat(2 << 20) + EXAMPLE;
    let rows = vec![
        post("an unknown path", EXAMPLE)
            .to("POST", "/notification")
            .refused(404, "not-found"),
        post("another method", EXAMPLE)
            .to("PUT", "/notifications")
            .refused(405, "method-not-allowed"),
        post("another media type", EXAMPLE)
            .with(&[("content-type", "text/plain")])
            .refused(415, "unsupported-media-type"),
        post("a content coding", EXAMPLE)
            .with(&[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ])
            .refused(415, "unsupported-media-type"),
        post("a page of another site", EXAMPLE)
            .with(&[("sec-fetch-site", "cross-site")])
            .refused(403, "cross-site"),
        post("a page of another origin", EXAMPLE)
            .with(&[("origin", "https://evil.example")])
            .refused(403, "cross-site"),
        post("a body over the limit", large).refused(413, "body-too-large"),
        post("a read without a token", "")
            .to("GET", "/tasks")
            .refused(401, "unauthorized"),
    ];
    check(&host, rows).await;
    let mut client = host.client();
    for (method, target, allow) in [
        ("PUT", "/notifications", "POST, OPTIONS"),
        ("GET", "/notifications", "POST, OPTIONS"),
        ("POST", "/tasks", "GET, HEAD, OPTIONS"),
        ("DELETE", EXAMPLE_TASK, "GET, HEAD, OPTIONS"),
    ] {
        let answer = client.request(method, target, &[], b"").await;
        answer.expect(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
    }
    for target in ["/tasks/a/b", "/tasks/a/b/events", "/nothing", "/tasks/a"] {
        client.get(target).await.expect(404, "not-found");
    }
}

#[tokio::test]
async fn logins_have_outcomes_of_their_own() {
    let (_folder, setup) = setup();
    let host = setup.with_admin().start();
    let mut client = host.client();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let right = format!("token={READ_TOKEN}");
    let mut requests = vec![
        ("POST", "/login", right.as_str(), 303),
        ("POST", "/logout", "", 303),
        ("GET", "/language?language=zh&to=", "", 303),
    ];
    requests.extend([("POST", "/login", "token=wrong", 401); 10]);
    requests.push(("POST", "/login", &right, 429));
    for (method, target, body, status) in requests {
        let answer = client
            .exchange(method, target, &form, body.as_bytes())
            .await;
        assert_eq!(answer.expect("an answer").status, status, "{target} {body}");
    }
    let metrics = host.metrics().await;
    for (outcome, count) in [
        ("logged-in", 1.0),
        ("logged-out", 1.0),
        ("redirected", 1.0),
        ("unauthorized", 10.0),
        ("too-many-logins", 1.0),
    ] {
        assert_eq!(metrics.requests_of("page", outcome), count, "{outcome}");
    }
    let said = host.last_words();
    assert_eq!(
        said.matches("a login failed, because the token is wrong")
            .count(),
        10,
        "{said}"
    );
    assert_eq!(said.matches("are refused for 60 s").count(), 1, "{said}");
}

#[tokio::test]
async fn a_missing_field_is_named_by_its_pointer() {
    let (_folder, setup) = setup();
    let host = setup.start();
    let answer = host.client().post(without_task_id()).await;
    answer.expect(422, "not-a-notification");
    assert_eq!(answer.json()["pointer"], "/notify_data/body/task_id");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let (_folder, setup) = setup();
    let host = setup.start();
    let head = "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: 2097152\r\n\r\n";
    let answer = host.client().exchange_bytes(head.as_bytes(), false).await;
    let answer = answer.expect("an answer");
    answer.expect(413, "body-too-large");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_body_without_a_length_is_read_to_the_limit_and_no_further() {
    let (_folder, setup) = setup();
    let setup = setup.variable(("BATCHTASK_MAX_BODY_BYTES", "1024"));
    let host = setup.start();
    let chunked = |length: usize| {
        let body = EXAMPLE.to_owned() + &" ".repeat(length - EXAMPLE.len());
        let head = "POST /notifications HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n")
    };
    for (length, status) in [(1024, 200), (1025, 413)] {
        let request = chunked(length);
        let answer = host
            .client()
            .exchange_bytes(request.as_bytes(), false)
            .await;
        assert_eq!(answer.expect("an answer").status, status, "{length}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_notification() {
    let (_folder, setup) = setup();
    let host = setup.start();
    // A complete notification arrives, but the announced length is greater.
    let length = EXAMPLE.len() + 1;
    let head =
        format!("POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    // The host may answer or close, because the sender has closed its side.
    if let Ok(answer) = host.client().break_off((head + EXAMPLE).as_bytes()).await {
        answer.expect(400, "body-incomplete");
    }
    assert_eq!(kept(&mut host.client()).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_refused_in_time() {
    let (_folder, setup) = setup();
    let host = setup.argument("--body-seconds").argument("1").start();
    let head = "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n{";
    let answer = host.client().exchange_bytes(head.as_bytes(), false).await;
    let answer = answer.expect("an answer within the platform's time");
    answer.expect(408, "body-timeout");
    assert_eq!(answer.header("connection"), Some("close"));
}

/// The host waits longer for a body than this client for a response, so a
/// response means that the host did not wait for the body.
#[tokio::test]
async fn a_refused_head_is_answered_before_its_body_arrives() {
    let (_folder, setup) = setup();
    let patient = ["--body-seconds", "600", "--request-seconds", "600"];
    let setup = patient
        .iter()
        .fold(setup, |setup, argument| setup.argument(*argument));
    let host = setup.clone().start();
    let too_long = "content-length: 1572865\r\n";
    for (target, fields, status, outcome) in [
        ("/nowhere", "content-length: 9\r\n", 404, "not-found"),
        ("/nowhere", too_long, 404, "not-found"),
        (
            "/nowhere",
            "transfer-encoding: chunked\r\n",
            404,
            "not-found",
        ),
        ("/tasks", "content-length: 9\r\n", 405, "method-not-allowed"),
        ("/notifications", too_long, 413, "body-too-large"),
        (
            "/notifications",
            "content-length: 9\r\ncontent-type: text/plain\r\n",
            415,
            "unsupported-media-type",
        ),
    ] {
        refuses_head(&host, target, fields, status, outcome).await;
    }
    host.stop();
    let setup = setup.variable(("BATCHTASK_SIGNATURE", "enforce"));
    let host = setup.variable(("BATCHTASK_TOKEN", "token123")).start();
    let fields = "content-length: 9\r\n";
    refuses_head(&host, "/notifications", fields, 401, "unauthorized").await;
}

/// Sends a head and the beginning of its body, and expects a refusal.
async fn refuses_head(host: &Host, target: &str, fields: &str, status: u16, outcome: &str) {
    // With either framing, the body is incomplete.
    let head = format!("POST {target} HTTP/1.1\r\nhost: h\r\n{fields}\r\n5");
    let answer = host.client().exchange_bytes(head.as_bytes(), false).await;
    let answer = answer.unwrap_or_else(|failure| panic!("{target} {fields}: {failure:?}"));
    answer.expect(status, outcome);
    assert_eq!(answer.header("connection"), Some("close"), "{target}");
}

#[tokio::test]
async fn a_parameter_without_a_valid_value_is_named() {
    let (_folder, setup) = setup();
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await;
    for (target, parameter) in [
        ("/tasks?limit=0", "limit"),
        ("/tasks?limit=501", "limit"),
        ("/tasks?class=done", "class"),
        ("/tasks?cursor=x", "cursor"),
        ("/tasks?since=yesterday", "since"),
        ("/tasks?statsu=Fail", "statsu"),
        ("/tasks?q=a&q=b", "q"),
        ("/events?after=-1", "after"),
        ("/events?wait=6", "wait"),
        ("/quarantine?cursor=x", "cursor"),
    ] {
        let answer = client.get(target).await;
        answer.expect(400, "bad-parameter");
        assert_eq!(answer.json()["parameter"], parameter, "{target}");
    }
    let history = format!("{EXAMPLE_TASK}/events?cursor=x");
    client.get(&history).await.expect(400, "bad-parameter");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (folder, setup) = setup();
    let component = folder.path().join("component.wasm");
    std::fs::write(&component, without_intake()).unwrap();
    let over_wasi_http = setup.clone().argument("--component").argument(component);
    for setup in [setup, over_wasi_http] {
        let host = setup.start();
        let mut client = host.client();
        client.post(EXAMPLE).await;
        for (target, status) in [(EXAMPLE_TASK, 200), ("/tasks/a/b", 404)] {
            let whole = client.get(target).await;
            let head = client.request("HEAD", target, &[], b"").await;
            assert_eq!((head.status, head.body.len()), (status, 0));
            assert_eq!(head.header("content-type"), whole.header("content-type"));
            // The length, if present, is that of the body of a GET.
            let length = head.header("content-length");
            assert!(length.is_none() || length == whole.header("content-length"));
        }
    }
}

/// Incomplete requests of proven senders are never evicted, so beyond the limit
/// others are refused.
#[tokio::test]
async fn too_many_incomplete_requests_of_proven_senders_are_refused_at_once() {
    const SECRET: &str = "outcomesPathSecret0123";
    let (_folder, setup) = setup();
    let setup = setup.variable(("BATCHTASK_PATH_SECRET", SECRET));
    let host = setup.argument("--max-unfinished").argument("1").start();
    let target = format!("/notifications/{SECRET}");
    let mut under_way = host.client();
    under_way.begin(&target, EXAMPLE.len()).await;
    let head = format!("POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n");
    let refused = host.client().exchange_bytes(head.as_bytes(), false).await;
    let refused = refused.expect("an answer");
    refused.expect(503, "overloaded");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("connection"), Some("close"));
    // A complete request does not count.
    let mut other = host.client();
    let answer = other.request("POST", &target, &[], EXAMPLE.as_bytes());
    answer.await.expect(200, "recorded");
    let answer = under_way.exchange_bytes(EXAMPLE.as_bytes(), false).await;
    answer.expect("an answer").expect(200, "duplicate");
}

fn example_request() -> Request {
    request("POST", "/notifications", &[], EXAMPLE)
}

#[track_caller]
fn expect_refusal(response: &Response, refusal: Refusal) {
    assert_eq!(outcome(response), Some(Outcome::Refusal(refusal)));
    assert_eq!(response.status, refusal.status());
}

#[tokio::test]
async fn the_error_of_a_journal_decides_the_refusal() {
    for (error, refusal) in [
        (Error::Unavailable("secret".into()), Refusal::Unavailable),
        (Error::Full("secret".into()), Refusal::Full),
        (Error::Unsupported("secret".into()), Refusal::Unsupported),
    ] {
        let intake = Embedding::over(FaultyJournal::failing(error)).build();
        let intake = intake.await.unwrap();
        for response in [
            intake.exchange(example_request()).await,
            intake.accept(message(EXAMPLE)).await,
        ] {
            expect_refusal(&response, refusal);
            // The journal's text is for the operator only.
            assert_eq!(response.report.detail.as_deref(), Some("secret"));
            assert!(!json_of(&response).to_string().contains("secret"));
        }
    }
}

/// A notification that was refused because it took too long may become durable
/// later. If it is sent again, it is a duplicate.
#[tokio::test]
async fn a_journal_that_does_not_answer_is_refused_in_time() {
    let commits = Arc::<Mutex<()>>::default();
    let limits = Limits {
        request_seconds: 1,
        ..Limits::DEFAULT
    };
    let journal = FaultyJournal::waiting_for(commits.clone());
    let intake = Embedding::over(journal).limits(limits).build();
    let intake = intake.await.unwrap();
    let held = commits.lock_owned().await;
    let (exchanged, accepted) = tokio::join!(
        intake.exchange(example_request()),
        intake.accept(message(EXAMPLE))
    );
    expect_refusal(&exchanged, Refusal::Slow);
    expect_refusal(&accepted, Refusal::Slow);
    drop(held);
    let again = intake.exchange(example_request()).await;
    assert_eq!(outcome(&again), Some(Outcome::Success(Success::Duplicate)));
}

/// A component with `intake` checks its settings when it is built. A component
/// without it reports invalid settings in each answer.
#[tokio::test]
async fn a_component_that_cannot_check_its_settings_answers_nothing_with_bad_ones() {
    let embedding = || {
        let invalid = ("BATCHTASK_UNPROCESSABLE", "maybe");
        Embedding::over(MemoryJournal::default()).setting(invalid)
    };
    let Err(error) = embedding().build().await else {
        panic!("the setting was accepted");
    };
    assert!(error.to_string().contains("`BATCHTASK_UNPROCESSABLE`"));
    let intake = embedding().component(without_intake()).build();
    let intake = intake.await.unwrap();
    let response = intake.exchange(example_request()).await;
    assert_eq!(response.status, 500);
    let misconfigured = Refusal::Misconfigured.type_uri();
    assert_eq!(json_of(&response)["type"], misconfigured);
    assert_eq!(intake.journal().stats().recorded, 0);
}

/// The rows of the table of outcomes. A test here, in `disks`, `faults`, `pages` or
/// `openapi` expects each by name.
const SEEN: [&str; 31] = [
    "recorded",
    "duplicate",
    "quarantined",
    "read",
    "methods",
    "cross-site",
    "not-modified",
    "not-acceptable",
    "not-found",
    "method-not-allowed",
    "unauthorized",
    "unsupported-media-type",
    "body-too-large",
    "body-incomplete",
    "not-json",
    "not-a-notification",
    "bad-parameter",
    "misconfigured",
    "journal-unavailable",
    "journal-full",
    "too-slow",
    "overloaded",
    "body-timeout",
    "journal-unsupported",
    "failed",
    "logged-in",
    "logged-out",
    "redirected",
    "too-many-logins",
    // Of operators: see `sinks::operations`.
    "operated",
    "conflict",
];

#[test]
fn every_row_of_the_table_of_outcomes_is_seen() {
    let rows = Success::ALL.iter().map(|row| row.label());
    let rows: BTreeSet<_> = rows
        .chain(Refusal::ALL.iter().map(|row| row.label()))
        .collect();
    assert_eq!(rows, BTreeSet::from(SEEN));
}
