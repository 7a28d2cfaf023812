//! The host under the platform's own rules: whatever happens to the host, each
//! message that the platform considers delivered is in the journal, exactly once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::faults::tampering;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::mounts::small_disk;
use crate::support::platform::{Pace, Platform};

/// The tolerance for times on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(1500);

fn setup(folder: &Path) -> Setup {
    Setup::in_folder(folder).variable(QUIET)
}

/// Ends the platform and compares its ledger with the journal.
async fn settle(platform: Platform, host: &Host) -> crate::support::platform::Report {
    let (ledger, report) = platform.end().await;
    assert_eq!(ledger.len(), report.delivered);
    ledger.check(&mut host.client()).await;
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_up_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut platform = Platform::start(Pace::default(), host.address());
    platform.reports(|report| report.delivered >= 1000).await;
    let report = settle(platform, &host).await;
    assert_eq!((report.discarded, report.dropped, report.blocks), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_killed_again_and_again_keeps_what_was_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let mut host = setup.start();
    let mut platform = Platform::start(Pace::default(), host.address());
    for round in 1..=5 {
        let delivered = platform.ledger().len();
        platform
            .reports(|report| report.delivered >= delivered + 100)
            .await;
        host.kill();
        platform.reports(|report| report.blocks >= round).await;
        host = setup.start();
        platform.moved_to(host.address());
    }
    platform.reports(|report| !report.is_blocked).await;
    let report = settle(platform, &host).await;
    assert_eq!(report.dropped, 0);
}

/// The messages of an outage accumulate, the oldest beyond the bound are dropped, and
/// the rest comes in one burst.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_burst_after_an_outage_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let host = setup.start();
    let pace = Pace {
        per_s: 700,
        backlog: 1000,
        ..Pace::default()
    };
    let mut platform = Platform::start(pace, host.address());
    platform.reports(|report| report.delivered >= 100).await;
    host.kill();
    let outage = platform.reports(|report| report.dropped >= 100).await;
    assert!(outage.is_blocked);
    assert_eq!(outage.longest_backlog, 1000);
    let host = setup.start();
    platform.moved_to(host.address());
    let open = platform.reports(|report| !report.is_blocked).await;
    platform
        .reports(|report| report.delivered >= open.delivered + 1000)
        .await;
    let report = settle(platform, &host).await;
    assert_eq!(report.blocks, 1, "the burst did not block it again");
    assert_eq!(report.discarded, open.discarded, "nor cost a message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_stands_still_for_a_while_keeps_what_was_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let pace = Pace {
        answer_time: Duration::from_secs(1),
        ..Pace::default()
    };
    let mut platform = Platform::start(pace, host.address());
    platform.reports(|report| report.delivered >= 100).await;
    host.freeze();
    platform.reports(|report| report.is_blocked).await;
    host.thaw();
    platform.reports(|report| !report.is_blocked).await;
    let report = settle(platform, &host).await;
    assert!(report.discarded >= 10);
    assert_eq!(report.blocks, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_new_start_cost_few_messages() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let mut host = setup.start();
    let mut platform = Platform::start(Pace::default(), host.address());
    for _ in 0..3 {
        let delivered = platform.ledger().len();
        platform
            .reports(|report| report.delivered >= delivered + 200)
            .await;
        host = host.stop_and_restart();
        platform.moved_to(host.address());
    }
    platform.reports(|report| !report.is_blocked).await;
    settle(platform, &host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_a_while_keeps_what_was_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let Some(wrapper) = small_disk(folder.path(), "6m") else {
        return;
    };
    let host = setup(folder.path()).under(wrapper).start();
    let ballast = host.path_inside(&folder.path().join("ballast"));
    fs::write(&ballast, vec![0; 5 << 20]).unwrap();
    let pace = Pace {
        per_s: 2000,
        ..Pace::default()
    };
    let mut platform = Platform::start(pace, host.address());
    platform.reports(|report| report.is_blocked).await;
    fs::remove_file(&ballast).unwrap();
    platform.reports(|report| !report.is_blocked).await;
    let report = settle(platform, &host).await;
    assert!(report.discarded >= 10);
}

/// A push takes as long as the disk, and is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_slow_delays_pushes_and_loses_none() {
    const SYNC: Duration = Duration::from_millis(300);
    let how = format!("delay_enter={}", SYNC.as_micros());
    let Some(wrapper) = tampering("fdatasync,fsync", &how) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).under(wrapper).start();
    let pace = Pace {
        per_s: 40,
        ..Pace::default()
    };
    let mut platform = Platform::start(pace, host.address());
    platform.reports(|report| report.delivered >= 150).await;
    let report = settle(platform, &host).await;
    eprintln!("{report:?}");
    assert_eq!((report.discarded, report.dropped, report.blocks), (0, 0, 0));
    let quickest = report.quickest_delivery.unwrap();
    assert!(quickest >= SYNC, "answered before the disk: {quickest:?}");
}

/// Sometimes the disk takes longer than a request may. Requests that wait for it are
/// still answered in time, with a 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_now_and_then_keeps_what_was_delivered() {
    let how = "delay_enter=2500000:when=20+50";
    let Some(wrapper) = tampering("fdatasync,fsync", how) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path()).with_admin().under(wrapper);
    let setup = setup.argument("--request-seconds").argument("1");
    let host = setup.start();
    let pace = Pace {
        per_s: 100,
        ..Pace::default()
    };
    let mut platform = Platform::start(pace, host.address());
    platform.reports(|report| report.is_blocked).await;
    platform.reports(|report| !report.is_blocked).await;
    let report = settle(platform, &host).await;
    eprintln!("{report:?}");
    assert!(report.discarded >= 10);
    let slowest = report.slowest_push;
    assert!(slowest < Duration::from_secs(1) + AT_ONCE, "{slowest:?}");
    let answered = host.metrics().await.requests("too-slow");
    assert_eq!(answered, report.discarded as f64, "each had an answer");
}
