//! Clients that send or read slowly affect only their own connection.
//!
//! - `BATCHTASK_TEST_SLOW`: how many connections are slow at the same time.
//! - `BATCHTASK_TEST_SLOW_SECONDS`: the duration.
//! - `BATCHTASK_TEST_SLOW_RATE`: the number of genuine pushes a second meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::push_at_rate;
use crate::support::scale;

/// The time limit for a header, for a body, and between requests.
const LIMIT: Duration = Duration::from_secs(2);

/// How much later than its limit a connection may end, on a busy machine.
const LATE: Duration = Duration::from_secs(4);

/// The interval between two bytes.
const TRICKLE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slow {
    Header,
    Body,
    Reading,
}

/// How a slow connection ended.
struct Cut {
    slow: Slow,
    after: Duration,
    answer: Vec<u8>,
}

impl Slow {
    fn of(number: usize) -> Self {
        match number % 3 {
            0 => Self::Reading,
            1 => Self::Header,
            _ => Self::Body,
        }
    }

    async fn connection(self, address: SocketAddr) -> io::Result<Cut> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        socket.set_send_buffer_size(4096)?;
        let mut stream = socket.connect(address).await?;
        let started = Instant::now();
        let mut answer = Vec::new();
        match self {
            Self::Header => trickle(&mut stream, "GET / HTTP/1.1\r\nx: ", &mut answer).await,
            Self::Body => {
                let head = "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: 999\r\n\r\n";
                trickle(&mut stream, head, &mut answer).await;
            }
            Self::Reading => {
                let requests = "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n".repeat(8);
                stream.write_all(requests.as_bytes()).await?;
                let mut clock = interval(TRICKLE);
                while !stream.ready(Interest::READABLE).await?.is_read_closed() {
                    clock.tick().await;
                    answer.push(stream.read_u8().await?);
                }
            }
        }
        let after = started.elapsed();
        Ok(Cut {
            slow: self,
            after,
            answer,
        })
    }
}

/// Sends a byte at a time until the host answers or closes.
async fn trickle(stream: &mut TcpStream, head: &str, answer: &mut Vec<u8>) {
    let (mut reading, mut writing) = stream.split();
    let write = async {
        let mut bytes = head.bytes().chain(std::iter::repeat(b'x'));
        let mut clock = interval(TRICKLE);
        // The beginning is sent at once, so that it is a request.
        let first: Vec<u8> = bytes.by_ref().take(head.len()).collect();
        let mut written = writing.write_all(&first).await;
        while written.is_ok() {
            clock.tick().await;
            written = writing.write_all(b"x").await;
        }
    };
    let read = reading.read_to_end(answer);
    tokio::select! {
        () = write => {}
        _ = read => {}
    }
}

/// Keeps a slow connection open, and opens it again after the host ended it, until
/// `end` is set. Returns how each connection ended.
async fn hold(number: usize, address: SocketAddr, end: Arc<AtomicBool>) -> Vec<Cut> {
    let mut cuts = Vec::new();
    while !end.load(Relaxed) {
        let slow = Slow::of(number);
        let cut = tokio::time::timeout(LIMIT + 2 * LATE, slow.connection(address)).await;
        let cut = cut.unwrap_or_else(|_| panic!("{slow:?} was not cut"));
        // A connection may fail, because the host may be too busy to accept it.
        cuts.extend(cut.ok());
    }
    cuts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_connections_do_not_delay_genuine_pushes() {
    let slow = scale("BATCHTASK_TEST_SLOW", 300);
    let seconds = scale("BATCHTASK_TEST_SLOW_SECONDS", 6);
    let rate = scale("BATCHTASK_TEST_SLOW_RATE", 200);
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::in_folder(folder.path()).variable(QUIET).with_admin();
    for option in ["--header-seconds", "--body-seconds", "--idle-seconds"] {
        setup = setup.argument(option).argument(LIMIT.as_secs().to_string());
    }
    let host = setup.start();
    let ledger = Arc::new(Ledger::new());
    let end = Arc::new(AtomicBool::new(false));
    let mut held = JoinSet::new();
    for number in 0..slow {
        held.spawn(hold(number, host.address(), end.clone()));
    }
    while host.metrics().await.value("batchtask_connections") < slow as f64 * 0.8 {}

    let mut pushes = push_at_rate(rate, rate * seconds, host.address(), &ledger);
    let mut times = Vec::new();
    while let Some(pushed) = pushes.join_next().await {
        times.extend(pushed.unwrap());
    }
    let peak_kib = host.peak_kib();
    let open = host.metrics().await.value("batchtask_connections");
    end.store(true, Relaxed);
    let cuts: Vec<Cut> = held.join_all().await.into_iter().flatten().collect();

    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    eprintln!(
        "{} pushes at {rate}/s beside {slow} slow connections ({open} open at the end, {} cut): \
         median {:?}, 99th percentile {p99:?}, most {:?}, {} MiB at most",
        times.len(),
        cuts.len(),
        times[times.len() / 2],
        times[times.len() - 1],
        peak_kib >> 10
    );
    assert!(p99 < Duration::from_secs(1));
    assert!(peak_kib < 256 << 10);
    assert_eq!(ledger.check(&mut host.client()).await, 0);
    for slow in [Slow::Header, Slow::Body, Slow::Reading] {
        let cuts: Vec<_> = cuts.iter().filter(|cut| cut.slow == slow).collect();
        assert!(!cuts.is_empty(), "{slow:?}");
        let longest = cuts.iter().map(|cut| cut.after).max().unwrap();
        eprintln!("{slow:?}: {} cut, after {longest:?} at most", cuts.len());
        assert!(longest < LIMIT + LATE, "{slow:?}: {longest:?}");
    }
    let bodies = cuts
        .iter()
        .filter(|cut| cut.slow == Slow::Body && !cut.answer.is_empty());
    for cut in bodies {
        let answer = String::from_utf8_lossy(&cut.answer);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    // All slow connections end.
    while host.metrics().await.value("batchtask_connections") > 1.0 {}
}
