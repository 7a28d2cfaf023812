//! The host is killed under load; with PostgreSQL, its owner changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::receiver::{Reaction, Received, Receiver};
use super::{setup, sink, write};
use crate::shared::server::Server;
use crate::shared::url_of;
use crate::support::client::Client;
use crate::support::ledger::{Ledger, all_events};
use crate::support::load::Load;
use crate::support::random::Random;
use crate::support::scale;

/// How often the host is killed.
const KILLS: usize = 6;
/// The most events that are stored before a kill.
const EVENTS: usize = 300;
/// How often the owner of a sink is killed or stopped.
const TAKEOVERS: usize = 3;
/// The connections that post meanwhile.
const CONNECTIONS: usize = 4;

/// A receiver that fails one of five requests.
fn flaky() -> impl Fn(&Received) -> Reaction + Send + Sync {
    let random = Mutex::new(Random::new(7));
    move |_| match random.lock().unwrap().below(100) {
        0..=9 => Reaction::Answer(503, vec![]),
        10..=13 => Reaction::AcceptAndBreak,
        14..=18 => Reaction::Answer(429, vec![("retry-after", "0".into())]),
        19..=21 => Reaction::AcceptSlowly(Duration::from_millis(30)),
        _ => Reaction::Accept,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_in_order_after_kills_under_load() {
    let kills = scale("BATCHTASK_TEST_SINK_KILLS", KILLS);
    let events = scale("BATCHTASK_TEST_SINK_EVENTS", EVENTS);
    let receiver = Receiver::start(flaky()).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &sink("hook", &receiver.url()));
    let setup = setup(folder.path());
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(CONNECTIONS, &ledger);
    let mut random = Random::new(3);
    for _ in 0..kills {
        let host = setup.start();
        load.point_at(host.address());
        ledger
            .reaches(ledger.len() + 1 + random.below(events))
            .await;
        host.kill();
        load.point_away();
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    let host = setup.start();
    let stored = all_events(&mut host.client()).await.len();
    host.counts(|metrics| delivers_all(metrics.value("batchtask_sink_lag_events{sink=\"hook\"}")))
        .await;
    let repeated = wait_for(&receiver, stored as u64).await;
    host.stop();
    eprintln!("{kills} kills: {stored} events, {repeated} accepted more than once");
    assert!(stored > kills * 100);
}

fn delivers_all(lag: f64) -> bool {
    lag == 0.0
}

/// Waits until every event was accepted, and returns how many were accepted again.
async fn wait_for(receiver: &Receiver, last: u64) -> usize {
    receiver.accepts(last as usize).await;
    receiver.accepts_all(last).await;
    receiver.check(last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_takes_over_a_sink() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let takeovers = scale("BATCHTASK_TEST_SINK_TAKEOVERS", TAKEOVERS);
    let receiver = Receiver::start(flaky()).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &sink("hook", &receiver.url()));
    let setup = setup(folder.path())
        .variable(("BATCHTASK_JOURNAL", &url_of(&[server.port()])))
        .without_journal();
    let (mut owner, mut standby) = (setup.start(), setup.start());
    owner.counts(owns).await;
    let ledger = Arc::new(Ledger::new());
    let load = Load::by(Client::new, CONNECTIONS, &ledger);
    for turn in 0..takeovers {
        load.point_at(standby.address());
        ledger.reaches(ledger.len() + 200).await;
        // Until the lease has passed, more events would only pile up.
        if turn % 2 == 0 {
            owner.kill();
            load.point_away();
            standby.counts(owns).await;
            owner = std::mem::replace(&mut standby, setup.start());
        } else {
            owner.freeze();
            load.point_away();
            // It goes on when another host owns the sink, and must not write.
            standby.counts(owns).await;
            owner.thaw();
            owner.counts(|metrics| !owns(metrics)).await;
            std::mem::swap(&mut owner, &mut standby);
        }
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    let stored = all_events(&mut owner.client()).await.len();
    let repeated = wait_for(&receiver, stored as u64).await;
    eprintln!("{takeovers} takeovers: {stored} events, {repeated} accepted more than once");
    owner
        .counts(|metrics| delivers_all(metrics.value("batchtask_sink_lag_events{sink=\"hook\"}")))
        .await;
    owner.stop();
    // After a graceful stop, the other one takes over at once, and has nothing to do.
    let before = receiver.received_count();
    standby.counts(owns).await;
    standby.stop();
    assert_eq!(receiver.received_count(), before);
}

fn owns(metrics: &crate::support::metrics::Metrics) -> bool {
    metrics.value("batchtask_sink_owned{sink=\"hook\"}") == 1.0
}
