//! Failures are counted by reason and logged with the peer, even if they do not reach
//! the receiver.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::disks::lock;
use crate::support::EXAMPLE;
use crate::support::host::{Host, Setup};
use crate::support::metrics::Metrics;
use crate::support::notifications::Notification;
use crate::support::tls::{self_signed, with_certificate};

const SECRET: &str = "0123456789abcdef";
const IN_A_ROW: &str = "batchtask_push_failures_in_a_row";

fn failures(metrics: &Metrics, reason: &str) -> f64 {
    metrics.value(&format!(
        "batchtask_connection_failures_total{{reason=\"{reason}\"}}"
    ))
}

/// Sends bytes on a new connection, reads to its end, and returns its local address.
async fn send(host: &Host, bytes: &[u8]) -> SocketAddr {
    let mut stream = TcpStream::connect(host.address()).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    stream.local_addr().unwrap()
}

/// Waits until a failure was counted, once, and logged with its peer.
async fn expect_failure(host: &Host, reason: &str, peer: SocketAddr) {
    host.counts(|metrics| failures(metrics, reason) == 1.0)
        .await;
    let (reason, peer) = (format!("reason=\"{reason}\""), format!("peer={peer}"));
    let line = host.says(|line| line.contains(&reason) && line.contains(&peer));
    assert!(line.await.contains(" WARN "));
}

#[tokio::test]
async fn connections_that_fail_are_counted_by_reason() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let setup = setup.argument("--max-connections").argument("1");
    let host = setup.argument("--header-seconds").argument("1").start();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    let ambiguous = "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for (reason, bytes) in [
        ("header_too_large", long.as_bytes()),
        ("bad_request", b"no request\r\n\r\n"),
        ("ambiguous", ambiguous.as_bytes()),
        ("timeout", b"GET / HT"),
    ] {
        let peer = send(&host, bytes).await;
        expect_failure(&host, reason, peer).await;
        host.counts(|metrics| metrics.value("batchtask_connections") == 0.0)
            .await;
    }
    // The connection of an authenticated reader is not evicted.
    let mut reader = host.client();
    reader.get("/tasks").await.expect(200, "read");
    let peer = send(&host, b"").await;
    expect_failure(&host, "no_room", peer).await;
    let metrics = host.metrics().await;
    assert_eq!(metrics.sum("batchtask_connection_failures_total"), 5.0);
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_by_reason() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = with_certificate(Setup::in_folder(folder.path()), folder.path());
    let host = setup.with_admin().start();
    let peer = send(&host, b"POST /notifications HTTP/1.1\r\nhost: h\r\n\r\n").await;
    expect_failure(&host, "not_tls", peer).await;
    // A handshake record with an invalid message.
    let peer = send(&host, b"\x16\x03\x01\x00\x05\xff\x00\x00\x01\x00").await;
    expect_failure(&host, "tls", peer).await;
    // A load balancer that checks whether the port is open.
    drop(TcpStream::connect(host.address()).await.unwrap());
    let metrics = host.metrics().await;
    assert_eq!(metrics.sum("batchtask_connection_failures_total"), 2.0);
}

#[tokio::test]
async fn the_metrics_know_when_the_certificate_expires() {
    const EXPIRY: &str = "batchtask_tls_certificate_expiry_timestamp_seconds";
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = with_certificate(Setup::in_folder(folder.path()), folder.path());
    let host = setup.with_admin().start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let day_s = 86_400.0;
    let days = (host.metrics().await.value(EXPIRY) - now.unwrap().as_secs_f64()) / day_s;
    assert!((395.0..397.0).contains(&days), "{days} days");
    // Another certificate, which ends at a known time.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["h".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2040, 2, 1);
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
    host.counts(|metrics| metrics.value(EXPIRY) == 2_211_667_200.0)
        .await;
}

#[tokio::test]
async fn pushes_that_fail_in_a_row_are_counted_until_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_PATH_SECRET", SECRET))
        .variable(("BATCHTASK_UNPROCESSABLE", "reject"));
    let host = setup.with_admin().start();
    let target = format!("/notifications/{SECRET}");
    let mut client = host.client();
    assert_eq!(host.metrics().await.value(IN_A_ROW), 0.0);
    // Strangers, and readers.
    client.post(EXAMPLE).await.expect(404, "not-found");
    client.get("/tasks?x=1").await.expect(400, "bad-parameter");
    client.get(&target).await.expect(405, "method-not-allowed");
    assert_eq!(host.metrics().await.value(IN_A_ROW), 0.0);
    // Who knows the path is the platform.
    for body in ["{}", "no JSON"] {
        let answer = client.request("POST", &target, &[], body.as_bytes()).await;
        assert_ne!(answer.status, 200);
    }
    assert_eq!(host.metrics().await.value(IN_A_ROW), 2.0);
    let locked = lock(host.setup().journal());
    let answer = client
        .request("POST", &target, &[], EXAMPLE.as_bytes())
        .await;
    answer.expect(503, "journal-unavailable");
    assert_eq!(host.metrics().await.value(IN_A_ROW), 3.0);
    drop(locked);
    let answer = client
        .request("POST", &target, &[], EXAMPLE.as_bytes())
        .await;
    answer.expect(200, "recorded");
    assert_eq!(host.metrics().await.value(IN_A_ROW), 0.0);
}

#[tokio::test]
async fn a_host_that_refuses_pushes_for_lack_of_room_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_PATH_SECRET", SECRET))
        .with_admin();
    let host = setup.argument("--max-unfinished").argument("1").start();
    assert_eq!(host.admin().get("/readyz").await.status, 200);
    let target = format!("/notifications/{SECRET}");
    let mut under_way = host.client();
    under_way.begin(&target, EXAMPLE.len()).await;
    let head = format!("POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n");
    for _ in 0..10 {
        let answer = host.client().exchange_bytes(head.as_bytes(), false).await;
        answer.expect("an answer").expect(503, "overloaded");
    }
    let answer = host.admin().get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().starts_with("10 of 10 pushes"),
        "{}",
        answer.text()
    );
    drop(under_way);
    let mut admin = host.admin();
    while admin.get("/readyz").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_host_without_file_descriptors_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    let host = Setup::in_folder(folder.path())
        .under(few)
        .with_admin()
        .start();
    let mut admin = host.admin();
    assert_eq!(admin.get("/readyz").await.status, 200);
    let mut connections = Vec::new();
    while failures(&Metrics::read(&mut admin).await, "not_accepted") == 0.0 {
        connections.push(TcpStream::connect(host.address()).await.unwrap());
    }
    let answer = admin.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("file descriptor"),
        "{}",
        answer.text()
    );
    drop(connections);
    while admin.get("/readyz").await.status != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Refused pushes are logged as warnings with peer and reason, but only up to a rate.
#[tokio::test]
async fn refused_pushes_are_logged_up_to_a_rate() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).keeping_all_lines().start();
    let mut client = host.client();
    for _ in 0..25 {
        client.post("[]").await.expect(422, "not-a-notification");
    }
    client.post("x").await.expect(400, "not-json");
    let sum = host.says(|line| line.contains("… 15 more refused in the last 10 s"));
    assert!(sum.await.contains("outcome=\"not-a-notification\""));
    let said = host.last_words();
    let refused: Vec<_> = said
        .lines()
        .filter(|line| line.contains(": refused "))
        .collect();
    assert_eq!(refused.len(), 11, "{said}");
    for line in refused {
        assert!(line.contains(" WARN batchtask_host::intake: "), "{line}");
        assert!(line.contains(" peer=127.0.0.1:"), "{line}");
    }
}

#[tokio::test]
async fn reads_are_logged_at_level_debug() {
    for (level, lines) in [("info", 0), ("info,batchtask_host::intake=debug", 3)] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).keeping_all_lines();
        let host = setup.variable(("BATCHTASK_LOG", level)).start();
        let mut client = host.client();
        client.get("/tasks").await.expect(200, "read");
        client.get("/nowhere").await.expect(404, "not-found");
        let page = client.get("/").await;
        assert!(page.status < 400);
        let said = host.last_words();
        assert_eq!(said.matches("method=\"GET\"").count(), lines, "{said}");
    }
}

/// Names of query parameters may be secrets that were pasted by mistake. Ids may be as
/// long as a body.
#[tokio::test]
async fn texts_of_callers_are_bounded_in_the_log() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).keeping_all_lines();
        let host = setup
            .variable(("BATCHTASK_LOG", "trace"))
            .variable(("BATCHTASK_LOG_FORMAT", format))
            .start();
        let mut client = host.client();
        for unit in ["x", "\u{9b}", "\"", "水"] {
            let long = unit.repeat(1_400_000 / unit.len() / 4);
            let mut notification = Notification::numbered(1);
            notification.task_id = long;
            let answer = client.post(notification.body()).await;
            answer.expect(200, "recorded");
        }
        for target in [
            "/tasks?pasted-secret=1",
            "/?pasted-secret=1",
            "/events?pasted-secret",
        ] {
            client.get(target).await;
        }
        let said = host.last_words();
        assert!(!said.contains("pasted-secret"), "{said}");
        let recorded = ["outcome=\"recorded\"", "\"outcome\":\"recorded\""];
        let recorded = recorded.map(|field| said.matches(field).count());
        assert_eq!(recorded.iter().sum::<usize>(), 4);
        for line in said.lines() {
            assert!(line.len() < 8 << 10, "{} bytes", line.len());
            if format == "json" {
                let json: Result<serde_json::Value, _> = serde_json::from_str(line);
                json.unwrap_or_else(|_| panic!("{line}"));
            }
        }
    }
}

#[tokio::test]
async fn a_warning_says_that_the_webhook_is_open_to_all() {
    const OPEN: &str = "can post notifications";
    for (secret, warned) in [(None, true), (Some(SECRET), false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut setup = Setup::in_folder(folder.path()).listening_on("0.0.0.0:0");
        if let Some(secret) = secret {
            setup = setup.variable(("BATCHTASK_PATH_SECRET", secret));
        }
        let said = setup.start().last_words();
        assert_eq!(said.contains(OPEN), warned, "{said}");
    }
}
