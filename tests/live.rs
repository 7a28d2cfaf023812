//! What the bundled host adds to reads: the feed as a stream, compression, and access
//! for pages of other sites.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::notifications::Notification;

/// A stream of events over HTTP/1.1.
struct Stream {
    lines: Lines<BufReader<TcpStream>>,
    head: Vec<String>,
}

impl Stream {
    async fn open(host: &Host, target: &str, fields: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(host.address()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let fields: String = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: h\r\naccept: text/event-stream\r\n{fields}\r\n"
        );
        lines
            .get_mut()
            .get_mut()
            .write_all(head.as_bytes())
            .await
            .unwrap();
        let mut head = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap()
            && !line.is_empty()
        {
            head.push(line.to_ascii_lowercase());
        }
        Self { lines, head }
    }

    async fn with_token(host: &Host, target: &str, fields: &[(&str, &str)]) -> Self {
        let bearer = format!("Bearer {READ_TOKEN}");
        let fields = [&[("authorization", &*bearer)], fields].concat();
        let stream = Self::open(host, target, &fields).await;
        assert_eq!(stream.head[0], "http/1.1 200 ok");
        stream
    }

    /// Returns the next line that begins with this word, without it.
    async fn next(&mut self, word: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.expect("readable");
                let line = line.expect("the stream goes on");
                if let Some(rest) = line.strip_prefix(word) {
                    return rest.to_owned();
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("a line")
    }

    /// Waits for the end of the answer: the last chunk.
    async fn end(mut self) {
        let end = async {
            while let Some(line) = self.lines.next_line().await.unwrap_or(None) {
                if line == "0" {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("an end");
    }
}

async fn post(host: &Host, serials: std::ops::Range<u64>) {
    let mut client = host.client();
    for serial in serials {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_every_event_and_goes_on_after_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    post(&host, 0..250).await;
    let mut stream = Stream::with_token(&host, "/events", &[]).await;
    let has = |field: &str| stream.head.iter().any(|line| line == field);
    assert!(
        has("content-type: text/event-stream; charset=utf-8"),
        "{:?}",
        stream.head
    );
    assert!(has("cache-control: no-store"), "{:?}", stream.head);
    for seq in 1..=250 {
        assert_eq!(stream.next("id: ").await, seq.to_string());
        let data: serde_json::Value = serde_json::from_str(&stream.next("data: ").await).unwrap();
        assert_eq!(data["seq"], seq);
        assert_eq!(data["status_desc"], format!("change {}", seq - 1));
    }
    post(&host, 250..251).await;
    assert_eq!(stream.next("id: ").await, "251");
    // A stream without news shows that it is alive.
    stream.next(":").await;
    let mut later = Stream::with_token(&host, "/events?after=3", &[("last-event-id", "249")]).await;
    assert_eq!(later.next("id: ").await, "250");
    // The same objects as in the feed.
    let feed = host.client().read("/events?after=249&limit=1").await;
    let data: serde_json::Value = serde_json::from_str(&later.next("data: ").await).unwrap();
    assert_eq!(data, feed["events"][0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_bounded_need_the_token_and_end_with_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let host = setup.argument("--max-streams").argument("2").start();
    let refused = Stream::open(&host, "/events", &[]).await;
    assert_eq!(refused.head[0], "http/1.1 401 unauthorized");
    let first = Stream::with_token(&host, "/events", &[]).await;
    let second = Stream::with_token(&host, "/events", &[]).await;
    let bearer = format!("Bearer {READ_TOKEN}");
    let third = Stream::open(&host, "/events", &[("authorization", &bearer)]).await;
    assert_eq!(third.head[0], "http/1.1 503 service unavailable");
    // A place is free again when its client is gone. Reads and pushes need none.
    drop(first);
    post(&host, 0..3).await;
    let again = async {
        while Stream::open(&host, "/events", &[("authorization", &bearer)])
            .await
            .head[0]
            != "http/1.1 200 ok"
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("a place");
    host.signal(Signal::TERM);
    second.end().await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_programs_that_ask() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    post(&host, 0..50).await;
    let mut client = host.client();
    let plain = client.get("/tasks").await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    let tag = plain.header("etag").unwrap().to_owned();
    let asked = [("accept-encoding", "br, gzip")];
    let packed = client.request("GET", "/tasks", &asked, b"").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("etag"), Some(&*format!("W/{tag}")));
    assert!(packed.body.len() * 3 < plain.body.len());
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(packed.body.as_slice());
    decoder.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
    // Either tag is known.
    for tag in [format!("W/{tag}"), tag] {
        let known = [asked[0], ("if-none-match", &tag)];
        let same = client.request("GET", "/tasks", &known, b"").await;
        assert_eq!(same.status, 304);
    }
    for (target, fields) in [
        ("/summary", &asked[..]),
        ("/", &asked),
        ("/tasks", &[("accept-encoding", "gzip;q=0")]),
        ("/tasks", &[("accept-encoding", "identity")]),
    ] {
        let answer = client.request("GET", target, fields, b"").await;
        assert_eq!(answer.header("content-encoding"), None, "{target}");
    }
}

#[tokio::test]
async fn listed_sites_may_read_the_api_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let origins = ("BATCHTASK_CORS_ORIGINS", "https://wall.example");
    let host = Setup::in_folder(folder.path()).variable(origins).start();
    let mut client = host.client();
    let ours = ("origin", "https://wall.example");
    let asks = ("access-control-request-method", "GET");
    let other = ("origin", "https://other.example");
    for (method, target, fields, allowed) in [
        ("GET", "/tasks", &[ours][..], true),
        ("OPTIONS", "/tasks", &[ours, asks], true),
        ("OPTIONS", "/tasks", &[other, asks], false),
        ("GET", "/tasks", &[other], false),
        ("GET", "/tasks", &[], false),
        ("GET", "/", &[ours], false),
        ("OPTIONS", "/notifications", &[ours, asks], false),
    ] {
        let answer = client.request(method, target, fields, b"").await;
        let found = answer.header("access-control-allow-origin");
        let expected = allowed.then_some("https://wall.example");
        assert_eq!(found, expected, "{method} {target} {fields:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        if method == "OPTIONS" && allowed {
            assert_eq!(answer.status, 204);
            let headers = answer.header("access-control-allow-headers").unwrap();
            assert!(headers.contains("authorization"), "{headers}");
        }
    }
}
