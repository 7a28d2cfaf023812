//! What several hosts on one PostgreSQL do when it is not reachable, is replaced by its
//! standby, or has no room.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::shared::proxy::{Mode, Proxy};
use crate::shared::server::{PASSWORD, Server};
use crate::shared::{BETWEEN, Loaded, url_of};
use crate::support::host::Host;
use crate::support::notifications::Notification;
use crate::support::{PATIENCE, scale};

/// How often each fault happens under load.
const OUTAGES: usize = 1;

/// For how many seconds the network is cut.
const CUT_SECONDS: usize = 2;

/// The longest time that an answer may take during an outage. The platform waits longer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

fn outages() -> usize {
    scale("BATCHTASK_TEST_SHARED_OUTAGES", OUTAGES)
}

/// Posts until the answer is 503, in time.
async fn refuses(host: &Host, outcome: &[&str]) {
    let mut client = host.client().with_patience(PATIENCE);
    let until = Instant::now() + PATIENCE;
    for serial in 0.. {
        assert!(Instant::now() < until, "the host does not refuse");
        let body = Notification::numbered(900_000_000 + serial).body();
        let started = Instant::now();
        let answer = client.post(body).await;
        assert!(started.elapsed() < ANSWER_TIME, "{:?}", started.elapsed());
        if answer.status == 503 {
            let text = answer.text();
            assert!(outcome.iter().any(|part| text.contains(part)), "{text}");
            return;
        }
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_network_loses_nothing_and_needs_no_restart() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let url = url_of(&[proxy.port()]);
    let mut loaded = Loaded::on(vec![server], &url, 3);
    let cut = Duration::from_secs(scale("BATCHTASK_TEST_SHARED_CUT_SECONDS", CUT_SECONDS) as u64);
    for outage in 0..outages() {
        // Either nothing arrives any more, or every connection is closed.
        let mode = [Mode::Hold, Mode::Cut][outage % 2];
        loaded.acknowledges(BETWEEN).await;
        proxy.set(mode);
        let until = Instant::now() + cut;
        // A push may wait for the commit of others before its own fails.
        let outcomes = ["journal-unavailable", "too-slow"];
        refuses(&loaded.hosts[outage % 3], &outcomes).await;
        tokio::time::sleep_until(until.into()).await;
        proxy.set(Mode::Forward);
        loaded.acknowledges(BETWEEN).await;
    }
    loaded.end(1).await;
}

/// `kill -9` of the primary, and promotion of its synchronous standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_everything() {
    for _ in 0..outages() {
        let Some((primary, standby)) = Server::cluster() else {
            return;
        };
        let url = url_of(&[primary.port(), standby.port()]);
        let mut loaded = Loaded::on(vec![primary, standby], &url, 3);
        loaded.acknowledges(BETWEEN).await;
        let servers = std::mem::take(&mut loaded.servers);
        let promote = move || {
            servers[0].stop("KILL");
            servers[1].promote();
            servers
        };
        let promoted = tokio::task::spawn_blocking(promote).await;
        loaded.servers = promoted.expect("promoted");
        loaded.acknowledges(BETWEEN).await;
        loaded.end(2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_database_loses_nothing() {
    for _ in 0..outages() {
        let Some(server) = Server::on_small_disk("64m") else {
            return;
        };
        let filler = server.data().join("filler");
        let url = url_of(&[server.port()]);
        let mut loaded = Loaded::on(vec![server], &url, 3);
        loaded.acknowledges(BETWEEN).await;
        fill(&filler);
        // The server may stop itself, because it cannot write its log.
        refuses(&loaded.hosts[0], &["journal-full", "journal-unavailable"]).await;
        std::fs::remove_file(&filler).expect("removed");
        loaded.servers[0].run_if_ended();
        loaded.acknowledges(BETWEEN).await;
        loaded.end(1).await;
    }
}

/// Writes a file until the disk is full.
fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).expect("created");
    for size in [1 << 20, 4096] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// A follower that moves between hosts sees every event once and in order, while all
/// hosts write at full rate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_four_hosts_sees_every_event_once_and_in_order() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = url_of(&[server.port()]);
    let mut loaded = Loaded::on(vec![server], &url, 4);
    let events = scale("BATCHTASK_TEST_SHARED_EVENTS", 20_000) as u64;
    let mut clients: Vec<_> = loaded.hosts.iter().map(Host::client).collect();
    let (mut after, mut reads, started) = (0, 0, Instant::now());
    while after < events {
        let client = &mut clients[reads % 4];
        reads += 1;
        let page = client
            .read(&format!("/events?after={after}&limit=500&wait=2"))
            .await;
        for event in page["events"].as_array().expect("a list") {
            after += 1;
            assert_eq!(event["seq"], after, "dense and in order");
        }
    }
    let rate = after as f64 / started.elapsed().as_secs_f64();
    eprintln!("four hosts: {after} events in order, {rate:.0} a second");
    loaded.end(3).await;
}

/// Passwords are in no line of any host.
#[tokio::test]
async fn no_host_says_the_password_of_an_unreachable_database() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let url = url_of(&[server.port()]);
    let mut loaded = Loaded::on(vec![server], &url, 1);
    loaded.acknowledges(10).await;
    loaded.servers[0].stop("QUIT");
    refuses(&loaded.hosts[0], &["journal-unavailable"]).await;
    let said = loaded.hosts[0].said();
    assert!(!said.contains(PASSWORD), "{said}");
    loaded.servers[0].run();
    loaded.acknowledges(10).await;
    loaded.end(0).await;
}
