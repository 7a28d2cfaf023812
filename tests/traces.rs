//! Traces: what a collector gets, what is passed on, and that a collector that fails does no
//! harm.
//!
//! - `collector`: a collector that reads OTLP with the library of OpenTelemetry.

mod collector;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batchtask_host::component::Message;
use batchtask_host::span::{Kind, Recorder, Span, Tracer};
use batchtask_journal::{MemoryJournal, Source};
use serde_json::Value;

use self::collector::Collector;
use crate::shared::server::{PASSWORD, Server};
use crate::sinks::receiver::{Reaction, Receiver};
use crate::support::client::{Answer, Client};
use crate::support::embedding::{Embedding, request};
use crate::support::host::{READ_TOKEN, Setup};
use crate::support::notifications::Notification;
use crate::support::{EXAMPLE_TASK, tls};

/// The secret in the webhook's path.
const PATH_SECRET: &str = "pathSecret-Wd4_fG8hYs2uE6";
/// The name of the span of a push.
const PUSH: &str = "POST /notifications/{secret}";
/// A trace of a caller.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The context of a caller, with these flags.
fn caller(flags: &str) -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-{flags}")
}

/// A host that exports the traces that its callers ask for, and this part of all others. Its
/// sink posts to `receiver`.
fn setup(setup: Setup, collector: &str, sample: &str, receiver: &Receiver) -> Setup {
    let folder = setup.journal().parent().expect("a folder").to_owned();
    let sink = format!(
        "[[sink]]\nname = 'hook'\nurl = '{}?key=queryOfTheSink-3'\nstart = 'beginning'\n\
         headers = {{ Authorization = 'Bearer headerOfTheSink-4' }}\n",
        receiver.url()
    );
    std::fs::write(folder.join("batchtask.toml"), sink).unwrap();
    setup
        .with_admin()
        .argument("--config")
        .argument(folder.join("batchtask.toml"))
        .argument("--traces")
        .argument(collector)
        .argument("--traces-sample")
        .argument(sample)
        .variable(("BATCHTASK_PATH_SECRET", PATH_SECRET))
        .variable(("BATCHTASK_TRACES_HEADERS", "X-Collector-Key=keyOf%20it-5"))
}

/// Posts a notification with these fields of the header.
async fn push(client: &mut Client, serial: u64, headers: &[(&str, &str)]) -> Answer {
    let body = Notification::numbered(serial).body();
    let target = format!("/notifications/{PATH_SECRET}");
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let answer = client.exchange("POST", &target, &headers, body.as_bytes());
    answer.await.expect("an answer")
}

/// The only span with this name in a trace.
#[track_caller]
fn only<'a>(spans: &'a [Value], trace: &Value, name: &str) -> &'a Value {
    let mut named = spans
        .iter()
        .filter(|span| span["name"] == name && span["trace"] == *trace);
    let found = named
        .next()
        .unwrap_or_else(|| panic!("no {name}: {spans:#?}"));
    assert_eq!(named.next(), None, "{name}");
    found
}

/// A trace as people read it.
fn tree(spans: &[Value], parent: &str, depth: usize) -> String {
    let mut below: Vec<&Value> = spans
        .iter()
        .filter(|span| span["parent"] == parent)
        .collect();
    below.sort_by_key(|span| span["start"].as_u64());
    let mut text = String::new();
    for span in below {
        let took = span["end"].as_u64().unwrap() - span["start"].as_u64().unwrap();
        let (name, kind) = (
            span["name"].as_str().unwrap(),
            span["kind"].as_str().unwrap(),
        );
        let _ = writeln!(
            text,
            "{:indent$}{name} [{kind}] {:.3} ms  span={} links={} {}",
            "",
            took as f64 / 1e6,
            span["span"],
            span["links"],
            span["attributes"],
            indent = 2 * depth,
        );
        text += &tree(spans, span["span"].as_str().unwrap(), depth + 1);
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_through_postgres_and_a_webhook_is_one_trace() {
    let (Some(collector), Some(server)) = (Collector::start(), Server::start(&[])) else {
        return;
    };
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    let host = crate::shared::setup(&server.url(), folder.path());
    let host = setup(host, &collector.url(), "1", &receiver)
        .variable(("BATCHTASK_LOG", "info"))
        .variable(("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"))
        .start();
    let mut client = host.client();
    let secret = [("authorization", "Bearer headerOfTheCaller-6")];
    push(&mut client, 7, &secret).await.expect(200, "recorded");
    receiver.accepts(1).await;
    let names = [
        PUSH,
        "decide",
        "journal.append",
        "journal.commit",
        "deliver hook",
    ];
    let spans = collector.has(&names).await;

    let root = spans.iter().find(|span| span["name"] == PUSH).unwrap();
    let trace = &root["trace"];
    let [decide, append, commit, deliver] =
        [names[1], names[2], names[3], names[4]].map(|name| only(&spans, trace, name));
    eprintln!("trace {trace}\n{}", tree(&spans, "", 0));
    for (span, parent, kind) in [
        (root, "", "SERVER"),
        (decide, root["span"].as_str().unwrap(), "INTERNAL"),
        (append, root["span"].as_str().unwrap(), "INTERNAL"),
        (commit, append["span"].as_str().unwrap(), "INTERNAL"),
        (deliver, root["span"].as_str().unwrap(), "CLIENT"),
    ] {
        assert_eq!(
            (&span["parent"], &span["kind"]),
            (&parent.into(), &kind.into())
        );
        assert_eq!(
            (&span["status"], &span["flags"]),
            (&"UNSET".into(), &1.into())
        );
        assert!(span["start"].as_u64() <= span["end"].as_u64());
        let resource = &span["resource"];
        assert_eq!(resource["service.name"], "batchtask");
        assert!(resource["service.instance.id"].is_string());
        assert_eq!(resource["deployment.environment"], "test");
        assert_eq!(span["fields"]["x-collector-key"], "keyOf it-5");
        assert_eq!(span["fields"]["path"], "/v1/traces");
        assert_eq!(span["fields"].get("traceparent"), None);
    }
    // A commit belongs to the requests of its batch.
    assert_eq!(commit["links"], serde_json::json!([append["span"]]));
    assert_eq!(append["links"], serde_json::json!([commit["span"]]));
    assert_eq!(append["attributes"]["batchtask.batch_size"], 1);
    assert!(append["attributes"]["batchtask.queue_ms"].is_f64());
    let described = &root["attributes"];
    assert_eq!(described["http.request.method"], "POST");
    assert_eq!(described["http.route"], "/notifications/{secret}");
    assert_eq!(described["http.response.status_code"], 200);
    assert_eq!(described["batchtask.outcome"], "recorded");
    assert_eq!(described["client.address"], "127.0.0.1");
    assert!(described["batchtask.task_id"].is_string());
    let described = &deliver["attributes"];
    assert_eq!(described["batchtask.sink"], "hook");
    assert_eq!(described["server.port"], receiver.address.port());
    assert_eq!(described["http.response.status_code"], 200);
    assert_eq!(described["batchtask.outcome"], "delivered");

    // The receiver of the sink continues the trace.
    let trace = trace.as_str().unwrap();
    let received = &receiver.received()[0];
    let context = |span: &Value| format!("00-{trace}-{}-01", span["span"].as_str().unwrap());
    assert_eq!(received.field("traceparent"), context(deliver));
    assert_eq!(received.json()["traceparent"], context(root));
    let line = host
        .says(|line| line.contains("batchtask_host::intake"))
        .await;
    assert!(line.contains(&format!("trace_id={trace}")), "{line}");

    let said = host.last_words();
    let text = format!("{spans:?}");
    for secret in [
        PATH_SECRET,
        READ_TOKEN,
        PASSWORD,
        "queryOfTheSink-3",
        "headerOfTheSink-4",
        "headerOfTheCaller-6",
    ] {
        assert!(!text.contains(secret), "{secret}");
        assert!(!said.contains(secret), "{secret}");
    }
    assert!(!said.contains("keyOf"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_decides_about_its_own_trace() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path());
    let host = setup(host, &collector.url(), "0", &receiver).start();
    let mut client = host.client();
    // None of these is recorded.
    let (not_sampled, sampled) = (caller("00"), caller("01"));
    let invalid = sampled.to_uppercase();
    push(&mut client, 1, &[]).await.expect(200, "recorded");
    for (serial, context) in [(2, &not_sampled), (3, &invalid)] {
        let fields = [("traceparent", &**context), ("tracestate", "a=1")];
        push(&mut client, serial, &fields)
            .await
            .expect(200, "recorded");
    }
    let fields = [("traceparent", &*sampled), ("tracestate", "a=1, b=2")];
    let stranger = client.exchange("POST", "/notifications/wrong", &fields, b"{}");
    stranger.await.unwrap().expect(404, "not-found");
    let health = client.exchange("GET", "/health", &fields, b"").await;
    assert_eq!(health.unwrap().status, 200);
    // This one is.
    push(&mut client, 4, &fields).await.expect(200, "recorded");
    receiver.accepts(4).await;
    let spans = collector
        .has(&[PUSH, "journal.commit", "deliver hook"])
        .await;
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let root = only(&spans, &TRACE.into(), PUSH);
    assert_eq!(root["parent"], "00f067aa0ba902b7");
    for span in &spans {
        assert_eq!(
            (&span["trace"], &span["state"]),
            (&TRACE.into(), &"a=1, b=2".into())
        );
    }
    let deliver = only(&spans, &TRACE.into(), "deliver hook");
    let mut received = receiver.received();
    received.sort_by_key(|received| received.seq());
    let deliver = format!("00-{TRACE}-{}-01", deliver["span"].as_str().unwrap());
    for (received, (parent, state)) in received.iter().zip([
        ("", ""),
        (&*not_sampled, "a=1"),
        ("", ""),
        (&*deliver, "a=1, b=2"),
    ]) {
        assert_eq!(received.field("traceparent"), parent);
        assert_eq!(received.field("tracestate"), state);
        assert_eq!(
            received.json().get("traceparent").is_some(),
            !parent.is_empty()
        );
    }
    // A read is traced, too, and a duplicate is not passed on.
    push(&mut client, 4, &fields).await.expect(200, "duplicate");
    let read = [("traceparent", &*sampled)];
    client
        .request("GET", EXAMPLE_TASK, &read, b"")
        .await
        .expect(404, "not-found");
    client.request("GET", "/tasks", &read, b"").await;
    let spans = collector.has(&["GET /tasks"]).await;
    assert!(
        !spans
            .iter()
            .any(|span| span["name"] == "GET /tasks/{app_id}/{task_id}")
    );
    let outcomes: Vec<&Value> = spans
        .iter()
        .map(|span| &span["attributes"]["batchtask.outcome"])
        .collect();
    assert!(
        outcomes.contains(&&Value::from("duplicate")),
        "{outcomes:?}"
    );
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_nothing_is_traced_and_nothing_is_passed_on() {
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    // An empty URL counts as unset.
    let host = Setup::in_folder(folder.path());
    let host = setup(host, "", "1", &receiver).start();
    let sampled = caller("01");
    let fields = [("traceparent", &*sampled), ("tracestate", "a=1")];
    push(&mut host.client(), 1, &fields)
        .await
        .expect(200, "recorded");
    receiver.accepts(1).await;
    let received = &receiver.received()[0];
    assert_eq!(
        (received.field("traceparent"), received.field("tracestate")),
        ("", "")
    );
    assert_eq!(received.json().get("traceparent"), None);
    assert!(!host.metrics().await.has("batchtask_trace_spans_total"));
    let said = host.last_words();
    assert!(!said.contains("trace"), "{said}");
}

/// Pushes to a host whose collector does not work, and stops it. Returns what it said.
async fn push_without_a_collector(url: &str) -> String {
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path());
    let host = setup(host, url, "1", &receiver).keeping_all_lines().start();
    let mut client = host.client().with_patience(Duration::from_secs(5));
    for serial in 0..2000 {
        push(&mut client, serial, &[]).await.expect(200, "recorded");
    }
    receiver.accepts(2000).await;
    // 10 000 spans, of which few are on their way to the collector.
    let no_room = "batchtask_trace_spans_total{result=\"no_room\"}";
    let metrics = host.metrics().await;
    assert!(
        metrics.value(no_room) > 3000.0,
        "{}",
        metrics.value(no_room)
    );
    let stopping = Instant::now();
    let said = host.last_words();
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "{:?}",
        stopping.elapsed()
    );
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_or_hangs_does_no_harm() {
    // It is bound, but does not listen: connections are refused.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let said = push_without_a_collector(&format!("http://{address}")).await;
    let line = format!("spans are not exported to http://{address}: ");
    assert_eq!(said.matches(&line).count(), 1, "{said}");
    // It accepts connections, and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap();
    push_without_a_collector(&format!("http://{address}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_is_reported_once() {
    let Some(collector) = Collector::start_with(401, None) else {
        return;
    };
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path());
    let host = setup(host, &collector.url(), "1", &receiver).start();
    let mut client = host.client();
    for serial in 0..3 {
        push(&mut client, serial, &[]).await.expect(200, "recorded");
        let failed = "batchtask_trace_spans_total{result=\"failed\"}";
        let before = host.metrics().await.value(failed);
        push(&mut client, serial, &[])
            .await
            .expect(200, "duplicate");
        host.counts(|metrics| metrics.value(failed) > before).await;
    }
    collector.has(&[PUSH]).await;
    let said = host.last_words();
    assert_eq!(said.matches("answered 401").count(), 1, "{said}");
    assert!(said.contains("check `traces.headers`"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_the_collector_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    tls::self_signed(folder.path());
    let Some(collector) = Collector::start_with(200, Some(folder.path())) else {
        return;
    };
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let host = Setup::in_folder(folder.path());
    let distrusting = setup(host, &collector.https_url(), "1", &receiver);
    let trusting = distrusting
        .clone()
        .argument("--traces-ca")
        .argument(folder.path().join("ca.pem"));
    let host = distrusting.start();
    push(&mut host.client(), 1, &[])
        .await
        .expect(200, "recorded");
    host.says(|line| line.contains("spans are not exported") && line.contains("certificate"))
        .await;
    host.stop();
    assert_eq!(collector.spans(), [] as [Value; 0]);
    let host = trusting.start();
    push(&mut host.client(), 2, &[])
        .await
        .expect(200, "recorded");
    // The end of the host exports what waits.
    host.stop();
    collector.has(&[PUSH]).await;
}

#[test]
fn faults_of_the_options_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, headers, fault) in [
        (&["--traces", "grpc://hush:4317"][..], "", "`--traces`"),
        (&["--traces", "http://c/?hush=1"], "", "`--traces`"),
        (
            &["--traces", "http://c", "--traces-sample", "2"],
            "",
            "from 0 to 1",
        ),
        (
            &["--traces", "http://c", "--traces-ca", "/none"],
            "",
            "`--traces-ca`",
        ),
        (
            &["--traces", "http://c"],
            "hush",
            "BATCHTASK_TRACES_HEADERS",
        ),
        (
            &["--traces", "http://c"],
            "Host=hush",
            "set by the exporter",
        ),
    ] {
        let host = Setup::in_folder(folder.path());
        let host = host.variable(("BATCHTASK_TRACES_HEADERS", headers));
        let arguments = arguments.iter();
        let host = arguments.fold(host, |host, argument| host.argument(*argument));
        let (code, said) = host.fail();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(fault), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

/// Keeps spans, as an embedder can.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Span>>>);

impl Recorder for Spans {
    fn samples(&self, _: u128) -> bool {
        true
    }

    fn record(&self, span: Span) {
        self.0.lock().unwrap().push(span);
    }
}

impl Spans {
    fn take(&self) -> Vec<(String, Kind)> {
        let spans = std::mem::take(&mut *self.0.lock().unwrap());
        let spans = spans.into_iter();
        spans
            .map(|span| (span.name.into_owned(), span.kind))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedder_can_record_the_spans_of_every_channel() {
    let spans = Spans::default();
    let receiver = Embedding::over(MemoryJournal::default());
    let intake = receiver.traced_by(Tracer::new(spans.clone()));
    let intake = intake.build().await.unwrap();
    let below = |name: &str, kind| {
        let internal = ["journal.append", "journal.commit", "decide"];
        let mut expected = internal
            .map(|name| (name.to_owned(), Kind::Internal))
            .to_vec();
        expected.push((name.to_owned(), kind));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        expected
    };
    let sorted = || {
        let mut spans = spans.take();
        spans.sort_by(|a, b| a.0.cmp(&b.0));
        spans
    };
    let message = Message {
        source: Source::Amqp,
        body: Notification::numbered(1).body().into(),
    };
    assert_eq!(intake.accept(message).await.status, 200);
    assert_eq!(sorted(), below("process amqp", Kind::Consumer));
    let json = [("content-type", "application/json")];
    let push = request(
        "POST",
        "/notifications",
        &json,
        Notification::numbered(2).body(),
    );
    assert_eq!(intake.exchange(push).await.status, 200);
    assert_eq!(sorted(), below("POST /notifications", Kind::Server));
    intake.journal().close();
}
