//! A long mixed load: memory and latency do not grow, and no push fails.
//!
//! - `BATCHTASK_TEST_SOAK_SECONDS`: the duration.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::notifications::Notification;
use crate::support::pushes::Pushes;
use crate::support::scale;
use crate::support::tls::{self, Caller};

/// The rate at which the platform pushes a backlog.
const PER_S: u32 = 800;

const CONNECTIONS: usize = 64;

/// How many times memory and latency are measured.
const PARTS: usize = 10;

/// The interval of the pushes whose latency is measured.
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// How often the certificate is replaced.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

/// The targets that readers read again and again.
const TARGETS: [&str; 6] = [
    "/tasks",
    "/events?limit=100",
    "/summary",
    "/tasks?q=change",
    "/quarantine",
    "/",
];

async fn read(mut client: Client) {
    for target in TARGETS.iter().cycle() {
        assert_eq!(client.get(target).await.status, 200, "{target}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn scrape(mut admin: Client) {
    let mut clock = interval(Duration::from_secs(1));
    loop {
        clock.tick().await;
        for target in ["/metrics", "/readyz", "/healthz"] {
            assert_eq!(admin.get(target).await.status, 200, "{target}");
        }
    }
}

/// Replaces the certificate again and again, each time by one of the other authority,
/// and checks that the host uses it soon after.
async fn renew(host: SocketAddr, folder: PathBuf, authorities: [TempDir; 2]) {
    let mut clock = interval(CERTIFICATE_EVERY);
    clock.tick().await;
    for next in authorities.iter().cycle() {
        clock.tick().await;
        for file in ["key.pem", "cert.pem"] {
            fs::copy(next.path().join(file), folder.join(file)).unwrap();
        }
        let started = Instant::now();
        let of_next = Caller::trusting(&next.path().join("ca.pem"));
        let of_next = Arc::new(of_next.config());
        let ask = || Client::over_tls(host, of_next.clone());
        while ask().exchange("GET", "/health", &[], b"").await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "not renewed");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The measurements of one part.
struct Part {
    p99: Duration,
    resident_kib: u64,
}

async fn part(host: &Host, client: &mut Client, serial: &mut u64, time: Duration) -> Part {
    let mut clock = interval(PROBE_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < time {
        let due = clock.tick().await;
        *serial += 1;
        let mut notification = Notification::numbered(*serial);
        notification.status_desc = format!("probe {serial}");
        let answer = client.post(notification.body()).await;
        answer.expect(200, "recorded");
        times.push(due.elapsed());
    }
    times.sort_unstable();
    Part {
        p99: times[times.len() * 99 / 100],
        resident_kib: host.resident_kib(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_latency_do_not_grow_under_a_long_mixed_load() {
    let seconds = scale("BATCHTASK_TEST_SOAK_SECONDS", 20);
    let [folder, first, second] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut caller: Option<Caller> = None;
    for authority in [&folder, &first, &second] {
        tls::self_signed(authority.path());
        let file = authority.path().join("ca.pem");
        match &mut caller {
            Some(caller) => caller.trust(&file),
            None => caller = Some(Caller::trusting(&file)),
        }
    }
    let setup = Setup::in_folder(folder.path()).with_admin();
    // In a long run, the stall is longer than the host can queue lines.
    let setup = setup.with_stalling_log(Duration::from_secs(seconds as u64) / 40);
    let host = tls::with_certificate(setup, folder.path()).start();
    let config = Arc::new(caller.expect("three").config());
    let client = || Client::over_tls(host.address(), config.clone());
    let mut probe = client();
    let readers = [client(), client()];
    let pushes = Pushes::start(PER_S, (0..CONNECTIONS).map(|_| client()));
    pushes.answered(PER_S as usize).await;

    let mut beside = JoinSet::new();
    for reader in readers {
        beside.spawn(read(reader));
    }
    beside.spawn(scrape(host.admin()));
    let certificate = folder.path().to_owned();
    beside.spawn(renew(host.address(), certificate, [first, second]));
    let time = Duration::from_secs(seconds as u64) / PARTS as u32;
    let (mut parts, mut serial) = (Vec::new(), 0);
    for number in 0..PARTS {
        let part = part(&host, &mut probe, &mut serial, time).await;
        let dropped = host.metrics().await;
        eprintln!(
            "part {number}: 99th percentile {:?}, {} MiB, {} log lines dropped",
            part.p99,
            part.resident_kib >> 10,
            dropped.value("batchtask_log_lines_dropped_total"),
        );
        parts.push(part);
        if let Some(ended) = beside.try_join_next() {
            ended.unwrap();
        }
    }
    beside.shutdown().await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    eprintln!("{} pushes, the slowest {:?}", ledger.len(), report.slowest);
    // The host is warm after two parts. From then on, nothing grows.
    let (warm, last) = (&parts[2], &parts[PARTS - 1]);
    assert!(last.resident_kib < warm.resident_kib * 3 / 2);
    assert!(last.p99 < Duration::from_secs(1), "{:?}", last.p99);
    ledger.check(&mut client()).await;
}
