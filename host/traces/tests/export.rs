//! The export to collectors that work, fail, and do not answer. Time passes by itself in
//! these tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchtask_span::{Kind, Tracer};
use batchtask_traces::{Export, Metrics, Options};
use prometheus::core::Collector as _;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a test waits for a state.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a collector answers.
#[derive(Clone)]
enum Answer {
    /// This status, with further lines of the header and a body.
    Status(u16, &'static str, &'static [u8]),
    /// Nothing, forever.
    Silence,
}

const OK: Answer = Answer::Status(200, "", b"");

/// A collector that gives these answers, and then always the last.
struct Collector {
    url: String,
    /// The heads of the requests.
    heads: watch::Receiver<Vec<String>>,
}

impl Collector {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, heads) = watch::channel(Vec::new());
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let sender = Arc::new(sender);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), sender.clone()));
            }
        });
        Self { url, heads }
    }

    /// Waits until this many requests have arrived.
    async fn until(&mut self, requests: usize) {
        let arrived = self.heads.wait_for(|heads| heads.len() >= requests);
        tokio::time::timeout(PATIENCE, arrived)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn serve(
    stream: TcpStream,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    heads: Arc<watch::Sender<Vec<String>>>,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().unwrap())
        });
        let mut body = vec![0; length.unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let answer = {
            let mut answers = answers.lock().unwrap();
            let next = answers[0].clone();
            if answers.len() > 1 {
                answers.pop_front();
            }
            next
        };
        heads.send_modify(|heads| heads.push(head));
        let Answer::Status(status, fields, body) = answer else {
            std::future::pending::<()>().await;
            return;
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{fields}\r\n");
        let answer = [head.as_bytes(), body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

struct Exporting {
    export: Export,
    metrics: Metrics,
}

impl Exporting {
    fn to(url: &str) -> Self {
        let options = Options {
            url: url.to_owned(),
            headers: vec![("X-Key".into(), "hush".into())],
            sample: 1.0,
            ..Options::default()
        };
        let metrics = Metrics::new().unwrap();
        let export = Export::start(options, metrics.clone()).unwrap();
        Self { export, metrics }
    }

    fn record(&self, spans: usize) {
        record(&self.export.tracer(), spans);
    }

    fn count(&self, result: &str) -> f64 {
        let families = self.metrics.collect();
        let spans = families[0].get_metric().iter();
        let mut found = spans.filter(|metric| metric.get_label()[0].value() == result);
        found.next().unwrap().get_counter().get_value()
    }

    /// Waits until this many spans have this result.
    async fn until(&self, result: &str, spans: usize) {
        let reached = async {
            while self.count(result) < spans as f64 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(10 * PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("{result}: {}", self.count(result)));
        assert_eq!(self.count(result), spans as f64);
    }
}

fn record(tracer: &Tracer, spans: usize) {
    for _ in 0..spans {
        drop(tracer.begin(None, Kind::Server, || "span".into()));
    }
}

#[tokio::test]
async fn spans_are_posted_in_the_binary_form_with_the_fields_of_the_operator() {
    let mut collector = Collector::start([OK]).await;
    let exporting = Exporting::to(&collector.url);
    exporting.record(3);
    collector.until(1).await;
    let head = collector.heads.borrow()[0].to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n"));
    assert!(head.contains("x-key: hush\r\n"));
    assert!(!head.contains("traceparent"));
    exporting.until("exported", 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_temporary_failure_is_repeated() {
    for answer in [
        Answer::Status(503, "", b""),
        Answer::Status(429, "retry-after: 3\r\n", b""),
        Answer::Status(
            502,
            "retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n",
            b"<html>",
        ),
        Answer::Silence,
    ] {
        let mut collector = Collector::start([answer.clone(), answer, OK]).await;
        let exporting = Exporting::to(&collector.url);
        exporting.record(3);
        exporting.until("exported", 3).await;
        collector.until(3).await;
        assert_eq!(exporting.count("failed"), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_dropped_and_the_next_one_is_sent() {
    for status in [400, 401, 404, 301, 500] {
        let mut collector = Collector::start([Answer::Status(status, "", b""), OK]).await;
        let exporting = Exporting::to(&collector.url);
        exporting.record(3);
        exporting.until("failed", 3).await;
        exporting.record(2);
        exporting.until("exported", 2).await;
        collector.until(2).await;
        assert_eq!(collector.heads.borrow().len(), 2);
    }
}

#[tokio::test]
async fn spans_that_the_collector_rejected_are_counted() {
    // 2 rejected: "too old".
    let partial = b"\x0a\x0b\x08\x02\x12\x07too old";
    let collector = Collector::start([Answer::Status(200, "", partial)]).await;
    let exporting = Exporting::to(&collector.url);
    exporting.record(3);
    exporting.until("failed", 2).await;
    assert_eq!(exporting.count("exported"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_collector_delays_nothing_and_memory_is_bounded() {
    // Nothing listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let exporting = Exporting::to(&url);
    let started = std::time::Instant::now();
    exporting.record(100_000);
    // In microseconds a span, and not in the seconds of a connection.
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(exporting.count("no_room"), 100_000.0 - 4096.0);
    exporting.until("failed", 4096).await;
    assert_eq!(exporting.count("exported"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_end_exports_what_waits() {
    let mut collector = Collector::start([OK]).await;
    let exporting = Exporting::to(&collector.url);
    exporting.record(1100);
    let metrics = exporting.metrics.clone();
    exporting.export.finish(PATIENCE).await;
    collector.until(3).await;
    let families = metrics.collect();
    let text = format!("{:?}", families[0]);
    assert!(text.contains("1100"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_collector_that_hangs_or_failed() {
    let hanging = Collector::start([Answer::Silence]).await;
    let exporting = Exporting::to(&hanging.url);
    exporting.record(3);
    let started = tokio::time::Instant::now();
    exporting.export.finish(Duration::from_secs(2)).await;
    assert!(started.elapsed() <= Duration::from_millis(2100));
    let mut failing = Collector::start([Answer::Status(503, "", b"")]).await;
    let exporting = Exporting::to(&failing.url);
    exporting.record(3);
    failing.until(1).await;
    exporting.record(3000);
    let started = tokio::time::Instant::now();
    exporting.export.finish(PATIENCE).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(failing.heads.borrow().len(), 1);
}

#[tokio::test]
async fn authorities_are_checked() {
    let options = Options {
        url: "https://127.0.0.1:1".into(),
        authorities: Some(b"no PEM".to_vec()),
        ..Options::default()
    };
    let error = Export::check(&options).unwrap_err();
    assert_eq!(error.field, "authorities", "{error}");
}
