//! Readers never delay notifications, even if they are many, read much, and read it
//! slowly.
//!
//! - `BATCHTASK_TEST_READERS`: the number of readers.
//! - `BATCHTASK_TEST_READERS_RATE`: the number of pushes a second meanwhile.
//! - `BATCHTASK_TEST_READERS_SECONDS`: the duration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::ledger::{Ledger, all_events, all_pages};
use crate::support::load::push_at_rate;
use crate::support::notifications::Notification;
use crate::support::{EXAMPLE, scale};

/// The number of events to read, and the length of each.
const EVENTS: u64 = 100;
const EVENT_BYTES: usize = 8000;

/// How much a slow reader reads at a time, and how often.
const SIP_BYTES: usize = 4096;
const SIP_EVERY: Duration = Duration::from_millis(100);

/// After how many such intervals a refused reader tries again.
const SIPS_LATER: usize = 10;

/// How long a push may take on a busy machine: less than the 15 seconds that the
/// platform waits. On an idle machine, look at the printed figures.
const IN_TIME: Duration = Duration::from_secs(5);

async fn with_events(setup: Setup) -> Host {
    let host = setup.start();
    let mut client = host.client();
    for serial in 0..EVENTS {
        // The first numbers are used by the pushes.
        let mut notification = Notification::numbered((1 << 40) + serial);
        notification.status_desc += &"x".repeat(EVENT_BYTES);
        let answer = client.post(notification.body()).await;
        answer.expect(200, "recorded");
    }
    host
}

fn read_request(limit: usize) -> String {
    format!(
        "GET /events?limit={limit} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {READ_TOKEN}\r\n\r\n"
    )
}

/// Opens a connection with a small receive buffer.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// A read counts until its answer was read. Another read beyond the limit is refused at
/// once, and pushes are accepted meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_read_too_many_is_a_503_at_once_and_pushes_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let setup = ["--max-reads", "2", "--write-seconds", "60"]
        .iter()
        .fold(setup, |setup, argument| setup.argument(*argument));
    let host = with_events(setup).await;
    // On each of two connections, more than the system's buffers hold.
    let requests = read_request(100).repeat(16);
    let mut readers = [connect(host.address()).await, connect(host.address()).await];
    for reader in &mut readers {
        reader.write_all(requests.as_bytes()).await.unwrap();
    }
    // The state is stable if it is seen many times.
    for _ in 0..20 {
        host.counts(|metrics| {
            metrics.value("batchtask_reads") == 2.0
                && metrics.value("batchtask_in_flight_requests") == 0.0
        })
        .await;
    }
    let started = Instant::now();
    let mut client = host.client();
    for serial in 0..5 {
        let answer = client.get("/tasks?limit=1").await;
        answer.expect(503, "overloaded");
        assert!(answer.header("retry-after").is_some());
        let answer = client.post(Notification::numbered(serial).body()).await;
        answer.expect(200, "recorded");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(host.metrics().await.value("batchtask_reads"), 2.0);
    drop(readers);
    host.counts(|metrics| metrics.value("batchtask_reads") == 0.0)
        .await;
    client.read("/tasks?limit=1").await;
    client.post(EXAMPLE).await.expect(200, "recorded");
}

/// Requests events, reads them slowly, and begins again. After a refusal, waits a
/// little. Returns how many requests were served, and how many were refused.
async fn read_slowly(address: SocketAddr, end: Arc<AtomicBool>) -> (usize, usize) {
    let (mut served, mut refused) = (0, 0);
    let mut clock = interval(SIP_EVERY);
    while !end.load(Relaxed) {
        let mut stream = connect(address).await;
        let request = read_request(50);
        if stream.write_all(request.as_bytes()).await.is_err() {
            continue;
        }
        let mut sip = vec![0; SIP_BYTES];
        let mut is_first = true;
        while !end.load(Relaxed) {
            clock.tick().await;
            let Ok(1..) = stream.read(&mut sip).await else {
                break;
            };
            if std::mem::take(&mut is_first) {
                let is_served = sip.starts_with(b"HTTP/1.1 200 ");
                served += usize::from(is_served);
                refused += usize::from(!is_served);
                if !is_served {
                    assert!(sip.starts_with(b"HTTP/1.1 503 "));
                    for _ in 0..SIPS_LATER {
                        clock.tick().await;
                    }
                    break;
                }
            }
        }
    }
    (served, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slow_readers_do_not_delay_pushes() {
    let readers = scale("BATCHTASK_TEST_READERS", 200);
    let rate = scale("BATCHTASK_TEST_READERS_RATE", 200);
    let seconds = scale("BATCHTASK_TEST_READERS_SECONDS", 6);
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET).with_admin();
    let host = with_events(setup).await;
    let end = Arc::new(AtomicBool::new(false));
    let mut reading: JoinSet<_> = (0..readers)
        .map(|_| read_slowly(host.address(), end.clone()))
        .collect();
    let ledger = Arc::new(Ledger::new());
    let mut pushes = push_at_rate(rate, rate * seconds, host.address(), &ledger);
    let mut times = Vec::new();
    while let Some(pushed) = pushes.join_next().await {
        times.extend(pushed.unwrap());
    }
    let peak_kib = host.peak_kib();
    end.store(true, Relaxed);
    let (mut served, mut refused) = (0, 0);
    while let Some(read) = reading.join_next().await {
        let read = read.unwrap();
        (served, refused) = (served + read.0, refused + read.1);
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    eprintln!(
        "{} pushes at {rate}/s beside {readers} readers ({served} reads served, {refused} not): \
         median {:?}, 99th percentile {p99:?}, most {:?}, {} MiB at most",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1],
        peak_kib >> 10
    );
    assert!(served > 0);
    assert!(p99 < IN_TIME, "{p99:?}");
    assert!(peak_kib < 256 << 10);
    ledger.check(&mut host.client()).await;
}

/// These texts are much longer when they are escaped in JSON or HTML. With the default
/// memory of an instance, every list and page is still answered.
#[tokio::test]
async fn long_texts_do_not_make_lists_fail() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    let mut client = host.client();
    let long = "\u{1}".repeat(255_000);
    for serial in 0..5 {
        let mut notification = Notification::numbered(serial);
        notification.status_desc = long.clone();
        client
            .post(notification.body())
            .await
            .expect(200, "recorded");
    }
    let mut notification = Notification::numbered(5);
    notification.task_id = "'".repeat(730_000);
    client
        .post(notification.body())
        .await
        .expect(200, "recorded");
    for _ in 0..3 {
        client
            .post("\u{1}".repeat(820_000))
            .await
            .expect(200, "quarantined");
    }
    for target in [
        "/",
        "/tasks",
        "/events",
        "/quarantine",
        "/page/quarantine",
        "/summary",
    ] {
        let answer = client.get(target).await;
        assert_eq!(answer.status, 200, "{target}");
        assert!(
            answer.body.len() < 8 << 20,
            "{target}: {}",
            answer.body.len()
        );
    }
    assert_eq!(
        all_pages(&mut client, "/tasks?limit=500", "tasks")
            .await
            .len(),
        6
    );
    assert_eq!(all_events(&mut client).await.len(), 6);
    assert_eq!(
        all_pages(&mut client, "/quarantine?limit=500", "rejects")
            .await
            .len(),
        3
    );
}
