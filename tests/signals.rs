//! The effect of each signal. No signal loses a push or interrupts a commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::support::EXAMPLE;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::notifications::Notification;
use crate::support::pushes::Pushes;
use crate::support::tls;

/// The maximum duration of an end that waits for nothing, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

/// The signals that do not end a host.
const HARMLESS: [Signal; 11] = [
    Signal::HUP,
    Signal::USR1,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::XFSZ,
    Signal::XCPU,
    Signal::PIPE,
    Signal::IO,
    Signal::STKFLT,
    Signal::WINCH,
];

/// The realtime signals that the C library leaves to programs.
const REALTIME: std::ops::RangeInclusive<u32> = 34..=64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_do_not_end_the_host_miss_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let pushes = Pushes::start(200, (0..8).map(|_| host.client()));
    for signal in HARMLESS {
        host.signal(signal);
        pushes.answered(5).await;
    }
    for number in REALTIME {
        send(&host, number);
        pushes.answered(2).await;
    }
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert_eq!(ledger.check(&mut host.client()).await, 0);
    host.stop();
}

/// Sends a realtime signal, which has no name in `rustix`.
fn send(host: &Host, number: u32) {
    let pid = host.pid().as_raw_nonzero().to_string();
    let mut command = std::process::Command::new("kill");
    let sent = command.args(["-s", &number.to_string(), &pid]).status();
    assert!(sent.unwrap().success(), "{number}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_end_the_host_interrupt_no_commit() {
    for (signal, code) in [
        (Signal::TERM, 0),
        (Signal::INT, 0),
        (Signal::POWER, 0),
        (Signal::QUIT, 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).variable(QUIET);
        let ledger = Arc::new(Ledger::new());
        let host = setup.start();
        let load = Load::start(16, &ledger);
        load.point_at(host.address());
        ledger.reaches(200).await;
        host.signal(signal);
        assert_eq!(host.wait(), Some(code), "{signal:?}");
        load.point_away();
        let seen = load.end().await;
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        let host = setup.start();
        ledger.check(&mut host.client()).await;
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let mut client = host.client();
    client.begin("/notifications", EXAMPLE.len()).await;
    host.signal(Signal::TERM);
    host.says(|line| line.contains("SIGTERM received")).await;
    let started = Instant::now();
    host.signal(Signal::TERM);
    let code = tokio::task::spawn_blocking(move || host.wait());
    assert_eq!(code.await.unwrap(), Some(1));
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    // The journal was closed properly: its log is empty or removed.
    let mut log = setup.journal().as_os_str().to_owned();
    log.push("-wal");
    let length = std::fs::metadata(log).map_or(0, |data| data.len());
    assert_eq!(length, 0);
}

#[tokio::test]
async fn a_hangup_reads_the_certificates_again() {
    let folder = tempfile::tempdir().unwrap();
    tls::self_signed(folder.path());
    let host = tls::setup(folder.path()).start();
    host.signal(Signal::HUP);
    host.says(|line| line.contains("no option has changed"))
        .await;
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    tls::self_signed(folder.path());
    host.signal(Signal::HUP);
    host.says(|line| line.contains("certificate was reloaded"))
        .await;
    let cert = folder.path().join("cert.pem");
    std::fs::write(cert, "no certificate").unwrap();
    host.signal(Signal::HUP);
    host.says(|line| line.contains("nothing was reloaded"))
        .await;
    let said = host.last_words();
    assert_eq!(
        said.matches("certificate was reloaded").count(),
        1,
        "{said}"
    );
}

/// Without a handler, SIGXFSZ would end the host in the middle of a write.
#[tokio::test]
async fn a_limit_on_the_size_of_files_is_a_503_until_it_is_raised() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let limit = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(host.pid()), Resource::Fsize, limit).unwrap();
    };
    limit(Some(256 << 10));
    let ledger = Ledger::new();
    let post = async |serial: u64| {
        let mut notification = Notification::numbered(serial);
        notification.status_desc += &"x".repeat(10_000);
        let body = notification.body();
        let status = host.client().post(&body).await.status;
        if status == 200 {
            ledger.acknowledge(notification.status_desc, body);
        }
        status
    };
    let mut serial = 0;
    while post(serial).await == 200 {
        serial += 1;
        assert!(serial < 1000, "the limit has no effect");
    }
    limit(None);
    assert_eq!(post(serial).await, 200);
    // The example is not in the ledger.
    assert_eq!(ledger.check(&mut host.client()).await, 1);
    host.stop();
}
