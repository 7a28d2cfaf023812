//! Unfinished requests of strangers do not delay the 200 of genuine pushes, and memory
//! stays within its bound.
//!
//! - `BATCHTASK_TEST_FLOOD`: how many requests are unfinished at the same time.
//! - `BATCHTASK_TEST_FLOOD_SECONDS`: the duration.
//! - `BATCHTASK_TEST_FLOOD_LONG`: how many genuine long bodies are sent at once.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::push_at_rate;
use crate::support::metrics::Metrics;
use crate::support::notifications::Notification;
use crate::support::tls;
use crate::support::{EXAMPLE, scale};

const SECRET: &str = "floodPathSecret0123456789";

/// The number of genuine pushes a second.
const RATE: usize = 100;

/// How soon a stranger opens another request after the host ended one.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// How many requests a stranger sends over an HTTP/2 connection.
const STREAMS: usize = 128;

fn flood_seconds() -> usize {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    scale("BATCHTASK_TEST_FLOOD_SECONDS", 4)
}

/// Opens requests to `path` that never end, each over its own connection.
fn unfinished_http1(count: usize, address: SocketAddr, path: &'static str) -> JoinSet<()> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n{{");
    let request = move |head: String| async move {
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    };
    (0..count).map(|_| request(head.clone())).collect()
}

/// A body that sends one byte and never ends.
struct Unfinished {
    has_begun: bool,
}

impl Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{")))))
    }
}

/// Like [`unfinished_http1`], over this many HTTP/2 connections, each with
/// [`STREAMS`] requests.
fn unfinished_http2(
    connections: usize,
    address: SocketAddr,
    path: &'static str,
    caller: &tls::Caller,
) -> JoinSet<()> {
    let connection = |caller: tls::Caller| async move {
        loop {
            if let Ok(stream) = caller.connect(address).await {
                fill(TokioIo::new(stream), path).await;
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    };
    let caller = caller.speaking("h2");
    (0..connections)
        .map(|_| connection(caller.clone()))
        .collect()
}

/// Keeps a connection full of unfinished requests until it ends.
async fn fill(
    stream: TokioIo<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static>,
    path: &'static str,
) {
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let Ok((sender, connection)) = handshake.await else {
        return;
    };
    let connection = tokio::spawn(connection);
    let stream = || {
        let mut sender = sender.clone();
        async move {
            while sender.ready().await.is_ok() {
                let request = Request::post(format!("https://h{path}"));
                let request = request.body(Unfinished { has_begun: false });
                if let Ok(answer) = sender.send_request(request.unwrap()).await {
                    let _ = answer.into_body().collect().await;
                }
                tokio::time::sleep(REOPEN_AFTER).await;
            }
        }
    };
    let streams: JoinSet<()> = (0..STREAMS).map(|_| stream()).collect();
    let _ = connection.await;
    drop(streams);
}

/// Pushes at a steady rate during a flood, and checks that each push gets its 200
/// soon.
async fn pushes_get_through(name: &str, flood: JoinSet<()>, host: &Host, target: Target) {
    let seconds = flood_seconds();
    let ledger = Arc::new(Ledger::new());
    let mut times = Vec::new();
    match target {
        Target::Open => {
            let mut pushes = push_at_rate(RATE, RATE * seconds, host.address(), &ledger);
            while let Some(pushed) = pushes.join_next().await {
                times.extend(pushed.unwrap());
            }
        }
        Target::Tls(caller) => times = push_over_tls(&caller, host, RATE * seconds).await,
        Target::Secret => times = push_in_two_pieces(host, RATE * seconds).await,
    }
    drop(flood);
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    eprintln!(
        "{name}: {} pushes, median {:?}, 99th percentile {p99:?}, most {:?}; {} MiB",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1],
        host.peak_kib() >> 10
    );
    // The bound is for a busy machine. The printed figures are for the reader.
    assert!(p99 < Duration::from_secs(1), "{name}: {p99:?}");
}

enum Target {
    Open,
    Secret,
    Tls(tls::Caller),
}

/// Pushes to the secret path on new connections, with a pause between head and body.
async fn push_in_two_pieces(host: &Host, count: usize) -> Vec<Duration> {
    let address = host.address();
    let push = move |serial| async move {
        let started = Instant::now();
        let body = Notification::numbered(serial).body();
        let head = format!(
            "POST /notifications/{SECRET} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        started.elapsed()
    };
    at_rate(count, push).await
}

/// Pushes over one HTTP/2 connection.
async fn push_over_tls(caller: &tls::Caller, host: &Host, count: usize) -> Vec<Duration> {
    let stream = caller.speaking("h2").connect(host.address()).await.unwrap();
    let sender = tls::http2(stream).await.unwrap();
    let push = |serial| {
        let mut sender = sender.clone();
        async move {
            let started = Instant::now();
            let body = Notification::numbered(serial).body();
            let request = Request::post("https://h/notifications");
            let request = request.body(Full::<Bytes>::from(body)).unwrap();
            let answer = sender.send_request(request).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            started.elapsed()
        }
    };
    at_rate(count, push).await
}

/// Starts this many concurrent pushes at a steady rate. Returns their times.
async fn at_rate<F>(count: usize, push: impl Fn(u64) -> F) -> Vec<Duration>
where
    F: Future<Output = Duration> + Send + 'static,
{
    let mut clock = interval(Duration::from_secs(1) / RATE as u32);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pushes = JoinSet::new();
    for serial in 0..count as u64 {
        clock.tick().await;
        pushes.spawn(push(serial));
    }
    pushes.join_all().await
}

/// Waits until the metrics show the flood.
async fn until_flooded(host: &Host, is_flooded: impl Fn(&Metrics) -> bool) {
    host.counts(is_flooded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_keep_no_push_out() {
    flood_seconds();
    let count = scale("BATCHTASK_TEST_FLOOD", 1024);
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .variable(QUIET)
        .with_admin()
        .start();
    let flood = unfinished_http1(count, host.address(), "/notifications");
    until_flooded(&host, |metrics| {
        metrics.value("batchtask_in_flight_requests") > count as f64 * 0.8
    })
    .await;
    let name = format!("{count} unfinished bodies");
    pushes_get_through(&name, flood, &host, Target::Open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_connections_keep_no_push_out() {
    flood_seconds();
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .argument("--max-connections")
        .argument("200")
        .variable(QUIET)
        .with_admin()
        .start();
    let flood = unfinished_http1(400, host.address(), "/notifications");
    until_flooded(&host, |metrics| {
        metrics.value("batchtask_evictions_total{of=\"connection\"}") > 100.0
    })
    .await;
    pushes_get_through("400 connections for 200 places", flood, &host, Target::Open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_to_a_wrong_path_keep_no_push_out() {
    flood_seconds();
    let count = scale("BATCHTASK_TEST_FLOOD", 1024);
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path())
        .variable(QUIET)
        .variable(("BATCHTASK_PATH_SECRET", SECRET))
        .with_admin()
        .start();
    let flood = unfinished_http1(count, host.address(), "/x");
    until_flooded(&host, |metrics| metrics.requests("not-found") > 100.0).await;
    let name = format!("{count} unfinished bodies to a wrong path");
    pushes_get_through(&name, flood, &host, Target::Secret).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_http2_connections_keep_no_push_out() {
    flood_seconds();
    let connections = scale("BATCHTASK_TEST_FLOOD", 1024) / STREAMS;
    let folder = tempfile::tempdir().unwrap();
    tls::self_signed(folder.path());
    let caller = tls::Caller::trusting(&folder.path().join("ca.pem"));
    let host = tls::setup(folder.path()).with_admin().start();
    let flood = unfinished_http2(connections, host.address(), "/notifications", &caller);
    until_flooded(&host, |metrics| {
        metrics.value("batchtask_in_flight_requests") > (connections * STREAMS) as f64 * 0.5
    })
    .await;
    let name = format!("{connections} full HTTP/2 connections");
    pushes_get_through(&name, flood, &host, Target::Tls(caller)).await;
}

/// Posts long bodies at once, and returns the status of each answer.
async fn post_at_once(host: &Host, path: &'static str, count: usize, bytes: usize) -> Vec<u16> {
    let address = host.address();
    let post = move |serial: usize| async move {
        let mut notification = Notification::numbered(serial as u64);
        notification.status_desc += &"x".repeat(bytes);
        let body = notification.body();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (mut reading, mut writing) = stream.split();
        let write = async {
            writing.write_all(head.as_bytes()).await?;
            writing.write_all(body.as_bytes()).await
        };
        let mut answer = [0; 12];
        let (_, read) = tokio::join!(write, reading.read_exact(&mut answer));
        read.unwrap();
        str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
    };
    let posts: JoinSet<u16> = (0..count).map(post).collect();
    posts.join_all().await
}

/// The length of a long body: 1.5 MiB.
const LONG: usize = 3 << 19;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_to_a_wrong_path_take_no_memory() {
    flood_seconds();
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let host = setup.variable(("BATCHTASK_PATH_SECRET", SECRET)).start();
    let statuses = post_at_once(&host, "/x", 1000, LONG).await;
    assert!(statuses.iter().all(|status| *status == 404));
    let peak_mib = host.peak_kib() >> 10;
    eprintln!("1000 bodies of 1.5 MiB to a wrong path: {peak_mib} MiB");
    assert!(peak_mib <= 128);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_genuine_bodies_wait_for_their_memory() {
    flood_seconds();
    let count = scale("BATCHTASK_TEST_FLOOD_LONG", 100);
    let folder = tempfile::tempdir().unwrap();
    for secret in [false, true] {
        let setup = Setup::in_folder(folder.path()).variable(QUIET);
        let (setup, path) = if secret {
            let setup = setup.variable(("BATCHTASK_PATH_SECRET", SECRET));
            (setup, "/notifications/floodPathSecret0123456789")
        } else {
            (setup, "/notifications")
        };
        let host = setup.start();
        let started = Instant::now();
        let statuses = post_at_once(&host, path, count, LONG - (64 << 10)).await;
        let peak_mib = host.peak_kib() >> 10;
        let ok = statuses.iter().filter(|status| **status == 200).count();
        eprintln!(
            "{count} genuine bodies of 1.5 MiB, secret path: {secret}: {ok} got 200, in {:?}, {peak_mib} MiB",
            started.elapsed()
        );
        assert_eq!(ok, count, "{statuses:?}");
        assert!(started.elapsed() < Duration::from_secs(15));
        assert!(peak_mib <= 192);
    }
}

/// Readers with the token send requests over HTTP/2 and do not read the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_read_end_on_http2() {
    let folder = tempfile::tempdir().unwrap();
    tls::self_signed(folder.path());
    let caller = tls::Caller::trusting(&folder.path().join("ca.pem"));
    let setup = tls::setup(folder.path()).with_admin();
    let host = setup.argument("--write-seconds").argument("1").start();
    let stream = caller.speaking("h2").connect(host.address()).await.unwrap();
    let handshake = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut sender: hyper::client::conn::http2::SendRequest<Full<Bytes>> = sender;
    let mut answers = Vec::new();
    for _ in 0..64 {
        let request = Request::get("https://h/tasks")
            .header("authorization", format!("Bearer {READ_TOKEN}"))
            .body(Full::default())
            .unwrap();
        answers.push(sender.send_request(request));
    }
    let mut pending: JoinSet<_> = answers.into_iter().collect();
    let mut bodies = Vec::new();
    while let Some(answer) = pending.join_next().await {
        bodies.extend(answer.unwrap());
    }
    // The end of a read follows from the end of its stream.
    host.counts(|metrics| metrics.value("batchtask_reads") == 0.0)
        .await;
    for body in bodies {
        assert!(body.into_body().collect().await.is_err(), "it was reset");
    }
    let stream = caller.speaking("h2").connect(host.address()).await.unwrap();
    let mut sender = tls::http2(stream).await.unwrap();
    let request = Request::post("https://h/notifications");
    let request = request.body(Full::<Bytes>::from(EXAMPLE)).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
}

/// All connections of the admin listener have an incomplete request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_do_not_silence_the_admin_listener() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).with_admin().start();
    let address = host.admin().address();
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTT").await.unwrap();
        held.push(stream);
    }
    for _ in 0..3 {
        let answer = host.admin().with_patience(Duration::from_secs(5));
        assert_eq!({ answer }.get("/healthz").await.status, 200);
    }
}
