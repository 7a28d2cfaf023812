//! A sink is down for a long time: `BATCHTASK_TEST_SINK_DOWN_SECONDS`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::receiver::{Reaction, Receiver};
use super::{setup, sink, write};
use crate::support::host::Host;
use crate::support::pushes::Pushes;
use crate::support::scale;

/// How long the sink is down.
const SECONDS: usize = 8;
/// The pushes a second meanwhile.
const PER_S: u32 = 100;
/// How many of them per second a sink catches up at least.
const CAUGHT_UP_PER_S: u64 = 500;
/// How long the lag of the other sink may be, in seconds.
const LAG_MAX_S: f64 = 5.0;
/// How much more memory may be in use at the end, in KiB. What is cached of the journal
/// grows for a while.
const GROWTH_MAX_KIB: u64 = 24 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_was_down_catches_up_in_order() {
    let seconds = scale("BATCHTASK_TEST_SINK_DOWN_SECONDS", SECONDS);
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    let react = move |_: &_| match down.load(Relaxed) {
        true => Reaction::Answer(503, vec![]),
        false => Reaction::Accept,
    };
    let (failing, other) = tokio::join!(
        Receiver::start(react),
        Receiver::start(|_| Reaction::Accept)
    );
    let folder = tempfile::tempdir().unwrap();
    let sinks = sink("failing", &failing.url()) + &sink("other", &other.url());
    write(folder.path(), &sinks);
    let host = setup(folder.path()).start();
    let pushes = Pushes::start(PER_S, (0..4).map(|_| host.client()));
    let (mut in_use_kib, mut lag_max_s) = (0, 0.0_f64);
    for second in 0..seconds {
        pushes.answered(PER_S as usize).await;
        if second == seconds / 4 {
            in_use_kib = host.resident_kib();
        }
        lag_max_s = lag_max_s.max(lag(&host, "seconds", "other").await);
    }
    let grown_kib = host.resident_kib().saturating_sub(in_use_kib);
    assert!(failing.accepted().is_empty());
    is_down.store(false, Relaxed);
    let back = Instant::now();
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    let last = ledger.len() as u64;
    let patience = Duration::from_secs(60 + last / CAUGHT_UP_PER_S);
    while lag(&host, "events", "failing").await > 0.0 || lag(&host, "events", "other").await > 0.0 {
        assert!(back.elapsed() < patience, "{}", host.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let caught_up = back.elapsed();
    assert_eq!((failing.check(last), other.check(last)), (0, 0));
    eprintln!(
        "down for {seconds} s: {last} events, {} attempts meanwhile, caught up in {caught_up:.1?}; \
         {grown_kib} KiB more in use after the first quarter; slowest push {:?}; the other sink \
         was at most {lag_max_s} s behind",
        failing.received_count() as u64 - last,
        report.slowest
    );
    assert!(
        grown_kib < GROWTH_MAX_KIB,
        "{grown_kib} KiB more are in use"
    );
    assert!(lag_max_s <= LAG_MAX_S, "{lag_max_s} s");
    host.stop();
}

/// The lag of a sink in seconds or events.
async fn lag(host: &Host, unit: &str, sink: &str) -> f64 {
    let name = format!("batchtask_sink_lag_{unit}{{sink=\"{sink}\"}}");
    host.metrics().await.value(&name)
}
