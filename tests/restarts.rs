//! A restart misses no push at the platform's maximum rate, both with a socket that a
//! service manager keeps and with a successor.

use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::support::EXAMPLE;
use crate::support::client::Client;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::notifications::Notification;
use crate::support::pushes::Pushes;
use crate::support::scale;
use crate::support::tls::{self, Caller};

/// How often the host is restarted.
const RESTARTS: usize = 3;

/// The rate at which the platform pushes a backlog.
const PER_S: u32 = 800;

/// The number of connections.
const CONNECTIONS: usize = 64;

/// The number of pushes between two restarts.
const BETWEEN: usize = 400;

/// How long an answer may take if it waits for a successor.
const ANSWER_TIME: Duration = Duration::from_secs(5);

fn plain(folder: &Path) -> Setup {
    Setup::in_folder(folder).variable(QUIET)
}

/// Restarts a host again and again under pushes, none of which may be missed.
async fn misses_none(
    setup: Setup,
    client: impl Fn(&Host) -> Client,
    restart: impl Fn(Host) -> Host,
) {
    let mut host = setup.start();
    let pushes = Pushes::start(PER_S, (0..CONNECTIONS).map(|_| client(&host)));
    for _ in 0..scale("BATCHTASK_TEST_RESTARTS", RESTARTS) {
        pushes.answered(BETWEEN).await;
        host = restart(host);
    }
    pushes.answered(BETWEEN).await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert!(report.slowest < ANSWER_TIME, "{:?}", report.slowest);
    eprintln!("{} pushes, the slowest {:?}", ledger.len(), report.slowest);
    let stored = ledger.check(&mut client(&host)).await;
    assert_eq!(stored, 0, "each stored event was acknowledged");
}

/// Starts a successor, and waits until the host has ended.
fn succeed(host: Host) -> Host {
    let successor = host.setup().start();
    assert_eq!(successor.address(), host.address());
    assert_eq!(host.wait(), Some(0));
    successor
}

fn socket() -> Arc<TcpListener> {
    Arc::new(TcpListener::bind("127.0.0.1:0").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_with_an_inherited_socket_miss_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let setup = plain(folder.path()).inheriting(&socket());
    misses_none(setup, Host::client, Host::stop_and_restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_by_a_successor_miss_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let setup = plain(folder.path()).argument("--takeover");
    misses_none(setup, Host::client, succeed).await;
}

fn over_tls(folder: &Path) -> (Setup, impl Fn(&Host) -> Client) {
    tls::self_signed(folder);
    let config = Arc::new(Caller::trusting(&folder.join("ca.pem")).config());
    let client = move |host: &Host| Client::over_tls(host.address(), config.clone());
    (tls::setup(folder), client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_with_an_inherited_socket_miss_no_push_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (setup, client) = over_tls(folder.path());
    misses_none(setup.inheriting(&socket()), client, Host::stop_and_restart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_by_a_successor_miss_no_push_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (setup, client) = over_tls(folder.path());
    misses_none(setup.argument("--takeover"), client, succeed).await;
}

/// Over HTTP/2, GOAWAY says which requests were not processed. Only those may be sent
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_by_a_successor_miss_no_push_over_http2() {
    const PUSHES: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let (setup, client) = over_tls(folder.path());
    let caller = Caller::trusting(&folder.path().join("ca.pem")).speaking("h2");
    let mut host = setup.argument("--takeover").start();
    let ledger = Arc::new(Ledger::new());
    let connections: JoinSet<()> = (0..8)
        .map(|number| {
            let serials = number * PUSHES..(number + 1) * PUSHES;
            push_over_http2(caller.clone(), host.address(), serials, ledger.clone())
        })
        .collect();
    for _ in 0..3 {
        ledger.reaches(ledger.len() + 300).await;
        host = succeed(host);
    }
    connections.join_all().await;
    assert_eq!(ledger.len(), 8 * PUSHES as usize);
    assert_eq!(ledger.check(&mut client(&host)).await, 0);
}

async fn push_over_http2(
    caller: Caller,
    host: SocketAddr,
    serials: Range<u64>,
    ledger: Arc<Ledger>,
) {
    let mut clock = tokio::time::interval(Duration::from_millis(5));
    let mut sender = tls::http2(caller.connect(host).await.unwrap())
        .await
        .unwrap();
    for serial in serials {
        clock.tick().await;
        let notification = Notification::numbered(serial);
        let body = notification.body();
        let mut request = tls::request_http2(body.clone());
        let answer = loop {
            match sender.try_send_request(request).await {
                Ok(answer) => break answer,
                Err(mut failed) => {
                    request = failed.take_message().expect("it was not sent");
                    sender = tls::http2(caller.connect(host).await.unwrap())
                        .await
                        .unwrap();
                }
            }
        };
        assert_eq!(answer.status(), 200);
        ledger.acknowledge(notification.status_desc, body);
    }
}

/// The predecessor keeps the journal open for the idle connection, and pushes on new
/// connections are still answered in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_on_an_idle_connection_is_answered_during_a_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let setup = plain(folder.path()).argument("--takeover");
    let host = setup.start();
    let mut idle = host.client();
    idle.post(EXAMPLE).await.expect(200, "recorded");
    let successor = tokio::task::spawn_blocking(move || setup.start());
    host.says(|line| line.contains("a successor takes over"))
        .await;
    let mut new = host.client().with_patience(ANSWER_TIME);
    let waits = tokio::spawn(async move { new.post(EXAMPLE).await });
    let answer = idle.post(EXAMPLE).await;
    answer.expect(200, "duplicate");
    assert_eq!(answer.header("connection"), Some("close"));
    waits.await.unwrap().expect(200, "duplicate");
    assert_eq!(host.wait(), Some(0));
    drop(successor.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stays_idle_delays_a_successor_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let setup = plain(folder.path()).argument("--takeover");
    let host = setup.start();
    let mut idle = host.client();
    idle.post(EXAMPLE).await.expect(200, "recorded");
    let successor = tokio::task::spawn_blocking(move || setup.start());
    host.says(|line| line.contains("a successor takes over"))
        .await;
    let mut new = host.client().with_patience(ANSWER_TIME);
    new.post(EXAMPLE).await.expect(200, "duplicate");
    assert_eq!(host.wait(), Some(0));
    drop(successor.await.unwrap());
    drop(idle);
}

/// Requests the sockets of a host, as a successor does, and tells the host to finish.
async fn begin_hand_over(host: &Host) -> UnixStream {
    let mut door = host.setup().journal().as_os_str().to_owned();
    door.push(".handover");
    let mut stream = loop {
        // It is missing while the host opens the journal again.
        if let Ok(stream) = UnixStream::connect(&door).await {
            break stream;
        }
    };
    stream.write_u8(b'h').await.unwrap();
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    stream.write_u8(b'g').await.unwrap();
    stream
}

/// The successor fails because of its settings, while it waits for the journal, or when
/// it may open the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_fails_costs_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let setup = plain(folder.path()).argument("--takeover");
    let host = setup.start();
    let pushes = Pushes::start(200, (0..8).map(|_| host.client()));
    pushes.answered(50).await;
    let (code, said) = setup.clone().variable(("BATCHTASK_TOKEN", "x")).fail();
    assert_eq!(code, Some(2), "{said}");
    assert!(!host.said().contains("takes over"), "{}", host.said());
    pushes.answered(50).await;
    drop(begin_hand_over(&host).await);
    host.says(|line| line.contains("this process continues"))
        .await;
    pushes.answered(50).await;
    let mut late = begin_hand_over(&host).await;
    assert_eq!(late.read_u8().await.unwrap(), b'c');
    drop(late);
    pushes.answered(50).await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert_eq!(ledger.check(&mut host.client()).await, 0);
}

/// SIGUSR2, as for an upgrade of the program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_replaces_itself() {
    let folder = tempfile::tempdir().unwrap();
    let host = plain(folder.path()).start();
    let pushes = Pushes::start(200, (0..8).map(|_| host.client()));
    pushes.answered(50).await;
    host.signal(Signal::USR2);
    let line = host.says(|line| line.contains(" as the successor")).await;
    let (_, number) = line.split_once("process ").unwrap();
    let number = number.split(' ').next().unwrap().parse().unwrap();
    let successor = Pid::from_raw(number).unwrap();
    host.says(|line| line.contains("handed over")).await;
    pushes.answered(50).await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert_eq!(ledger.check(&mut host.client()).await, 0);
    assert_ne!(successor, host.pid());
    kill_process(successor, Signal::TERM).unwrap();
    assert_eq!(host.wait(), Some(0));
}
