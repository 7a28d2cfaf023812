//! `batchtask quarantine`

use crate::support::EXAMPLE;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::program::{Ended, Program};

const OPERATE_TOKEN: &str = "operateToken0123456789abcdefghij";

fn setup(folder: &std::path::Path) -> Setup {
    Setup::in_folder(folder)
        .variable(QUIET)
        .variable(("BATCHTASK_OPERATE_TOKEN", OPERATE_TOKEN))
        .with_admin()
}

fn quarantine(host: &Host, arguments: &[&str]) -> Ended {
    Program::new(["quarantine"])
        .argument_each(arguments)
        .at(host.address())
        .variable(("BATCHTASK_ADMIN", &host.admin_address().to_string()))
        .variable(("BATCHTASK_OPERATE_TOKEN", OPERATE_TOKEN))
        .run()
}

#[tokio::test]
async fn rejects_are_listed_shown_replayed_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let accept = ("BATCHTASK_UNPROCESSABLE", "accept");
    let host = setup(folder.path()).variable(accept).start();
    let mut client = host.client();
    for body in [&b"{}"[..], b"line 1\nline \x1b[2J 2", b"\xff\xfe"] {
        client.post(body).await.expect(200, "quarantined");
    }
    let listed = quarantine(&host, &["list"]).expect(0).stdout;
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(rows.len(), 4, "{listed}");
    assert!(rows[1].starts_with("3    20"), "the newest first: {listed}");
    let lines = quarantine(&host, &["list", "--json"])
        .expect(0)
        .json_lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["body_base64"], "//4=");

    let shown = quarantine(&host, &["show", "2"]).expect(0).stdout;
    assert!(shown.contains("reason   not-json\n"), "{shown}");
    assert!(
        shown.ends_with("body:\nline 1\nline \\u{1b}[2J 2\n"),
        "{shown}"
    );
    let body = quarantine(&host, &["show", "2", "--body"]).expect(0).stdout;
    assert_eq!(body, "line 1\nline \u{1b}[2J 2");
    let missing = quarantine(&host, &["show", "77"]).expect(1).stderr;
    assert!(missing.contains("404"), "{missing}");

    let refused = quarantine(&host, &["replay", "1"]).expect(1).stderr;
    assert!(refused.contains("is still not"), "{refused}");
    assert_eq!(quarantine(&host, &["list", "--json"]).json_lines().len(), 3);
    let dropped = quarantine(&host, &["drop", "1", "3"]).expect(0).stdout;
    assert_eq!(dropped, "reject 1: dropped\nreject 3: dropped\n");
    for action in ["drop", "replay"] {
        let gone = quarantine(&host, &[action, "1"]).expect(1).stderr;
        assert!(gone.contains("no reject 1"), "{gone}");
    }
    assert_eq!(quarantine(&host, &["list", "--json"]).json_lines().len(), 1);
}

#[tokio::test]
async fn a_replayed_body_that_is_understood_now_becomes_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("batchtask.db");
    setup(folder.path()).start().stop();
    // The body of an earlier version, which did not understand it.
    let database = rusqlite::Connection::open(&journal).unwrap();
    let sql = "INSERT INTO quarantine (received_at_ms, bytes, reason, detail, body) \
               VALUES (1, 1000, 'not-a-notification', 'too new', ?1)";
    for _ in 0..2 {
        database.execute(sql, [EXAMPLE.as_bytes()]).unwrap();
    }
    drop(database);
    let host = setup(folder.path()).start();
    let replayed = quarantine(&host, &["replay", "1"]).expect(0).stdout;
    assert_eq!(replayed, "reject 1: recorded, and left the quarantine\n");
    let replayed = quarantine(&host, &["replay", "2"]).expect(0).stdout;
    assert_eq!(replayed, "reject 2: duplicate, and left the quarantine\n");
    let mut client = host.client();
    let tasks = client.read("/tasks").await;
    assert_eq!(tasks["tasks"][0]["status"], "Waitting");
    assert_eq!(tasks["tasks"][0]["duplicates"], 1);
    let rejects = client.read("/quarantine").await;
    assert_eq!(rejects["rejects"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn operations_need_the_operate_token_and_the_right_method() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut admin = host.admin();
    let bearer = format!("Bearer {OPERATE_TOKEN}");
    let right = ("authorization", bearer.as_str());
    let wrong = ("authorization", "Bearer operateToken0123456789abcdefghiJ");
    for (method, path, headers, status) in [
        ("DELETE", "/quarantine/1", &[][..], 401),
        ("DELETE", "/quarantine/1", &[wrong], 401),
        ("DELETE", "/quarantine/1", &[right], 404),
        ("POST", "/quarantine/1", &[right], 405),
        ("GET", "/quarantine/1/replay", &[right], 405),
        ("POST", "/quarantine/1/replay", &[], 401),
        ("POST", "/quarantine/1/replay", &[right], 404),
        ("POST", "/quarantine/x/replay", &[right], 404),
        ("POST", "/quarantine/1/else", &[right], 404),
    ] {
        let answer = admin.exchange(method, path, headers, b"").await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, status, "{method} {path}");
    }
    // A reader may do none of this, on the public listener either.
    let mut client = host.client();
    for (method, path) in [
        ("DELETE", "/quarantine/1"),
        ("POST", "/quarantine/1/replay"),
    ] {
        let answer = client.request(method, path, &[], b"").await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
}
