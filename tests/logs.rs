//! The logs contain every push, no secret, and no control character from others.

use std::ffi::OsString;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::host::{Host, READ_TOKEN, Setup, is_info_of_ours};
use crate::support::notifications::Notification;
use crate::support::program::remove_settings;
use crate::support::signing::Operands;
use crate::support::{EXAMPLE, PATIENCE};

const TOKEN: &str = "kQ3vT9xLm2Rb7Zc5";
const SECOND_TOKEN: &str = "h6Nw8Pj4Ys1Ud0Gf";
const SECRET: &str = "pathSecret-Wd4_fG8hYs2uE6";

/// The secrets that no log and no answer may contain.
const SECRETS: [&str; 4] = [TOKEN, SECOND_TOKEN, SECRET, READ_TOKEN];

/// The length of a part of a secret that must not be visible.
const PART: usize = 8;

fn expect_no_secret(text: &str) {
    for secret in SECRETS {
        for start in 0..=secret.len() - PART {
            let part = &secret[start..start + PART];
            assert!(!text.contains(part), "`{part}` is visible in: {text}");
        }
    }
}

/// Sends requests of all kinds that could reveal a secret.
async fn exercise(host: &Host, mode: &str) {
    let mut client = host.client();
    let target = format!("/notifications/{SECRET}");
    for token in [TOKEN, SECOND_TOKEN, "another"] {
        let operands = Operands::now(token);
        let signature = operands.signature();
        for (target, body) in [
            (target.clone(), EXAMPLE.to_owned()),
            (target.clone(), Notification::numbered(1).body()),
            (target.clone(), "{}".into()),
            (target.clone(), "no JSON".into()),
            (format!("{target}x"), EXAMPLE.into()),
            (format!("{target}/more"), EXAMPLE.into()),
            (format!("/{SECRET}"), EXAMPLE.into()),
            (format!("{target}?token={TOKEN}"), EXAMPLE.into()),
        ] {
            let headers = operands.headers(&signature);
            let answer = client.exchange("POST", &target, &headers, body.as_bytes());
            seen(&answer.await.unwrap());
        }
    }
    let plain = [("content-type", "text/plain"), ("x-secret", SECRET)];
    for method in ["GET", "PUT", "HEAD", "OPTIONS"] {
        let answer = client.exchange(method, &target, &plain, b"").await;
        seen(&answer.unwrap());
    }
    for (target, headers) in [
        (format!("/tasks?token={READ_TOKEN}"), vec![]),
        (format!("/?token={READ_TOKEN}"), vec![]),
        (format!("/tasks/{SECRET}/{TOKEN}"), vec![]),
        (
            "/tasks".into(),
            vec![("authorization", format!("Basic {READ_TOKEN}"))],
        ),
        (
            "/tasks".into(),
            vec![("authorization", format!("Bearer {READ_TOKEN}x"))],
        ),
        (
            "/tasks".into(),
            vec![("cookie", format!("token={READ_TOKEN}"))],
        ),
        (
            "/tasks".into(),
            vec![("authorization", format!("Bearer {READ_TOKEN}"))],
        ),
        (
            format!("/tasks/{SECRET}/{TOKEN}"),
            vec![("authorization", format!("Bearer {READ_TOKEN}"))],
        ),
    ] {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        seen(
            &client
                .exchange("GET", &target, &headers, b"")
                .await
                .unwrap(),
        );
    }
    for target in ["/events", "/quarantine", "/tasks?limit=x", "/tasks?order=x"] {
        seen(&client.get(target).await);
    }
    // Malformed requests, which the HTTP library may log in detail.
    let head = format!("POST {target} HTTP/1.1\r\nhost: h\r\nx-token: {TOKEN}\r\n");
    for rest in [
        "content-length: x\r\n\r\n",
        "content-length: 9999999\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
        "no colon\r\n\r\n",
        "content-length: 10\r\n\r\nshort",
        "",
    ] {
        let broken = format!("{head}{rest}");
        if let Ok(answer) = Client::new(host.address())
            .break_off(broken.as_bytes())
            .await
        {
            seen(&answer);
        }
    }
    let long = format!("{head}x: {}\r\n\r\n", SECRET.repeat(2000));
    if let Ok(answer) = Client::new(host.address()).break_off(long.as_bytes()).await {
        seen(&answer);
    }
    for target in ["/healthz", "/readyz", "/metrics", &*target] {
        seen(&host.admin().get(target).await);
    }
    eprintln!("{mode}: exercised");
}

fn seen(answer: &Answer) {
    let mut headers = answer.headers.clone();
    // The cookie contains the token, but only a client with the token gets it.
    headers.remove("set-cookie");
    expect_no_secret(&format!("{headers:?} {}", answer.text()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_log_or_answer() {
    for mode in ["enforce", "report"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batchtask.toml");
        std::fs::write(&path, format!("token = ['{TOKEN}', '{SECOND_TOKEN}']\n")).unwrap();
        let host = Setup::in_folder(folder.path())
            .variable(("BATCHTASK_LOG", "trace"))
            .variable(("BATCHTASK_SIGNATURE", mode))
            .variable(("BATCHTASK_PATH_SECRET", SECRET))
            .argument("--config")
            .argument(path)
            .with_admin()
            .keeping_all_lines()
            .start();
        exercise(&host, mode).await;
        let said = host.last_words();
        assert!(said.contains("TRACE") || said.contains("DEBUG"), "{said}");
        assert!(said.contains("outcome=\"recorded\""), "{said}");
        expect_no_secret(&said);
    }
}

#[test]
fn an_invalid_secret_is_not_shown() {
    let too_long = SECRET.repeat(10);
    for (name, value) in [
        ("path_secret", &*too_long),
        ("token", SECRET),
        ("read_token", "pathSecret-Wd4_fG8 Ys2uE6"),
        (SECRET, SECRET),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batchtask.toml");
        std::fs::write(&path, format!("{name} = '{value}'\n")).unwrap();
        let setup = Setup::in_folder(folder.path())
            .without_read_token()
            .variable(("BATCHTASK_LOG", "trace"))
            .argument("--config")
            .argument(path);
        let (code, said) = setup.fail();
        assert_eq!(code, Some(2), "{said}");
        if name != SECRET {
            expect_no_secret(&said);
        }
    }
}

/// Ids that would begin a new line, or control the terminal.
const HOSTILE: [&str; 5] = [
    "a\n2026-01-01T00:00:00Z ERROR forged",
    "b\r\nforged",
    "c\x1b[2J\x1b]0;title\x07",
    "d\u{9b}2J\u{85}\u{2028}forged",
    "e\0\x08\x7f\"quoted\\",
];

async fn post_hostile(host: &Host) {
    for (serial, id) in HOSTILE.iter().enumerate() {
        let mut notification = Notification::numbered(serial as u64);
        notification.app_id = (*id).into();
        notification.task_id = (*id).into();
        let answer = host.client().post(notification.body()).await;
        answer.expect(200, "recorded");
        let hostile = format!("/tasks?{}=1", "%0A%1B%5B2J%C2%9B");
        host.client()
            .get(&hostile)
            .await
            .expect(400, "bad-parameter");
    }
}

#[tokio::test]
async fn text_lines_escape_control_characters() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).keeping_all_lines();
    let host = setup.start();
    post_hostile(&host).await;
    let said = host.last_words();
    for line in said.lines() {
        assert!(is_info_of_ours(line), "{line:?}");
        let is_plain = |c: char| !c.is_control() && c != '\u{2028}';
        assert!(line.chars().all(is_plain), "{line:?}");
    }
    assert_eq!(said.matches("outcome=\"recorded\"").count(), HOSTILE.len());
    // The lines of requests have their own target, so that they can be disabled.
    let of_requests = said.matches(" INFO batchtask_host::intake: ").count();
    assert_eq!(
        of_requests,
        HOSTILE.len(),
        "reads are logged at level debug"
    );
    assert!(
        said.contains(" INFO batchtask::serve: listening on "),
        "{said}"
    );
    assert!(said.contains(r"a\n2026"), "{said}");
    assert!(said.contains(r"c\u{1b}[2J"), "{said}");
}

/// A method may be any token, up to the allowed length of a header.
#[tokio::test]
async fn an_unknown_method_is_not_in_logs_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).keeping_all_lines();
    let host = setup.with_admin().start();
    let made_up = "M4de-Up!".repeat(1000);
    let mut client = host.client();
    for method in [&made_up, "M4de-Up!", "get", "DELETE"] {
        let answer = client.request(method, "/notifications", &[], b"").await;
        answer.expect(405, "method-not-allowed");
    }
    let metrics = host.admin().get("/metrics").await.text();
    let said = host.last_words();
    for text in [&metrics, &said] {
        assert!(!text.contains("M4de-Up!"), "{text}");
    }
    assert_eq!(said.matches("method=\"other\"").count(), 3, "{said}");
    assert_eq!(said.matches("method=\"DELETE\"").count(), 1, "{said}");
    assert!(
        metrics.contains("_count{method=\"other\"} 3\n"),
        "{metrics}"
    );
}

#[tokio::test]
async fn json_lines_are_json_and_contain_ids_verbatim() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).keeping_all_lines();
    let host = setup.variable(("BATCHTASK_LOG_FORMAT", "json")).start();
    post_hostile(&host).await;
    let said = host.last_words();
    let mut ids = Vec::new();
    for line in said.lines() {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        assert!(json["timestamp"].is_string() && json["level"].is_string());
        assert!(!line.contains(['\x1b', '\x08', '\0', '\r']), "{line:?}");
        if json["outcome"] == "recorded" {
            assert!(json["ms"].is_number(), "{line}");
            ids.push(json["task_id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(ids, HOSTILE);
}

/// The log goes to a full disk.
#[tokio::test]
async fn a_log_that_cannot_be_written_loses_no_notification() {
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut journal = OsString::from("sqlite:");
    journal.push(folder.path().join("journal.db"));
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$@\" 2> /dev/full", "sh"])
        .args([env!("CARGO_BIN_EXE_batchtask"), "serve", "--admin", "off"])
        .args(["--min-free-disk-mib", "0"])
        .args(["--listen", &address.to_string(), "--journal"])
        .arg(journal);
    remove_settings(&mut command);
    let mut host = command.spawn().unwrap();
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < PATIENCE, "it does not listen");
        std::thread::yield_now();
    }
    let mut client = Client::new(address);
    client.post(EXAMPLE).await.expect(200, "recorded");
    client.post(EXAMPLE).await.expect(200, "duplicate");
    host.kill().unwrap();
    host.wait().unwrap();
}
