//! Several hosts share one journal in PostgreSQL. The tests start servers of their own,
//! and are skipped if PostgreSQL is not installed.

#[allow(dead_code, reason = "the crate's own tests use the rest")]
#[path = "../host/postgres/tests/postgres/support/proxy.rs"]
pub(crate) mod proxy;
#[allow(dead_code, reason = "the crate's own tests use the rest")]
#[path = "../host/postgres/tests/postgres/support/server.rs"]
pub(crate) mod server;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use self::server::{PASSWORD, Server};
use crate::support::client::Client;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::{Ledger, all_events};
use crate::support::load::Load;
use crate::support::notifications::Notification;
use crate::support::program::Program;
use crate::support::{EXAMPLE, EXAMPLE_TASK, PATIENCE, scale};

/// How often a host, or the server, is killed under load.
const KILLS: usize = 3;

/// How many events are acknowledged between two kills.
pub(crate) const BETWEEN: usize = 150;

/// A host on the journal at this URL.
pub(crate) fn setup(url: &str, folder: &Path) -> Setup {
    Setup::in_folder(folder)
        .variable(QUIET)
        .variable(("BATCHTASK_JOURNAL", url))
        .without_journal()
}

/// The URL of a journal on servers at these ports, with the password.
pub(crate) fn url_of(ports: &[u16]) -> String {
    let hosts: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!(
        "postgres://batchtask:{PASSWORD}@{}/postgres",
        hosts.join(",")
    )
}

/// Starts `count` hosts on one server.
fn hosts(server: &Server, folder: &Path, count: usize) -> Vec<Host> {
    let setup = setup(&server.url(), folder);
    (0..count).map(|_| setup.start()).collect()
}

/// Hosts on one journal, with connections that post to each of them.
pub(crate) struct Loaded {
    pub(crate) servers: Vec<Server>,
    pub(crate) hosts: Vec<Host>,
    loads: Vec<Load>,
    ledger: Arc<Ledger>,
    _folder: TempDir,
}

impl Loaded {
    /// Starts `count` hosts. Returns `None` if PostgreSQL is not installed.
    fn start(count: usize) -> Option<Self> {
        let server = Server::start(&[])?;
        let url = server.url();
        Some(Self::on(vec![server], &url, count))
    }

    /// Starts `count` hosts on the journal at this URL.
    pub(crate) fn on(servers: Vec<Server>, url: &str, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let setup = setup(url, folder.path());
        let hosts: Vec<Host> = (0..count).map(|_| setup.start()).collect();
        let ledger = Arc::new(Ledger::new());
        let load = |(at, host): (usize, &Host)| {
            let load = Load::numbered_from(at as u64 * 1_000_000, Client::new, 8, &ledger);
            load.point_at(host.address());
            load
        };
        let loads = hosts.iter().enumerate().map(load).collect();
        Self {
            servers,
            hosts,
            loads,
            ledger,
            _folder: folder,
        }
    }

    /// Waits until this many more events are acknowledged.
    pub(crate) async fn acknowledges(&self, more: usize) {
        self.ledger.reaches(self.ledger.len() + more).await;
    }

    /// Ends the connections, and checks that one of the hosts has every acknowledged
    /// event. Returns how many events it has that were not acknowledged.
    pub(crate) async fn end(&mut self, checked: usize) -> usize {
        for load in self.loads.drain(..) {
            let seen = load.end().await;
            assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        }
        self.ledger.check(&mut self.hosts[checked].client()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_host_answers_and_reads_the_same() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let hosts = hosts(&server, folder.path(), 3);
    hosts[0]
        .client()
        .post(EXAMPLE)
        .await
        .expect(200, "recorded");
    for host in &hosts[1..] {
        host.client().post(EXAMPLE).await.expect(200, "duplicate");
    }
    for serial in 0..30 {
        let body = Notification::numbered(serial).body();
        let [host, other] = [0, 1].map(|by| &hosts[(serial as usize + by) % 3]);
        host.client().post(body).await.expect(200, "recorded");
        // An event that is acknowledged by one host is in the feed of the others.
        let feed = other
            .client()
            .read(&format!("/events?after={}", serial + 1))
            .await;
        assert_eq!(feed["last_seq"], serial + 2);
    }
    let mut readings = HashSet::new();
    for host in &hosts {
        let mut client = host.client();
        let task = client.read(EXAMPLE_TASK).await;
        assert_eq!(task["duplicates"], 2);
        let events = client.read("/events?limit=100").await;
        let seqs = events["events"].as_array().unwrap().iter();
        let seqs: Vec<u64> = seqs.map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (1..=31).collect::<Vec<_>>());
        let tasks = client.read("/tasks?limit=100").await;
        readings.insert(format!("{task}{events}{tasks}"));
    }
    assert_eq!(readings.len(), 1, "every host reads the same");
    let said: String = hosts.iter().map(Host::said).collect();
    assert!(!said.contains(PASSWORD), "{said}");
}

/// The cursor of the feed works on each host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_moves_between_hosts_and_misses_nothing() {
    let Some(mut loaded) = Loaded::start(2) else {
        return;
    };
    let mut clients = [0, 1].map(|at| loaded.hosts[at].client());
    let mut after = 0;
    while after < 600 {
        let client = &mut clients[after as usize % 2];
        let feed = client
            .read(&format!("/events?after={after}&limit=37&wait=2"))
            .await;
        for event in feed["events"].as_array().unwrap() {
            after += 1;
            assert_eq!(event["seq"], after, "dense and in order");
        }
    }
    assert_eq!(loaded.end(0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_hosts_lose_nothing() {
    let Some(mut loaded) = Loaded::start(3) else {
        return;
    };
    for kill in 0..scale("BATCHTASK_TEST_SHARED_KILLS", KILLS) {
        loaded.acknowledges(BETWEEN).await;
        let at = kill % loaded.hosts.len();
        loaded.loads[at].point_away();
        let host = loaded.hosts.remove(at).kill_and_restart();
        loaded.loads[at].point_at(host.address());
        loaded.hosts.insert(at, host);
    }
    loaded.acknowledges(BETWEEN).await;
    loaded.end(1).await;
}

/// `pg_ctl -m immediate stop`, which is like a crash of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_of_the_server_lose_nothing_and_need_no_restart() {
    let Some(mut loaded) = Loaded::start(3) else {
        return;
    };
    for _ in 0..scale("BATCHTASK_TEST_SHARED_KILLS", KILLS) {
        loaded.acknowledges(BETWEEN).await;
        loaded.servers[0].stop("QUIT");
        let started = std::time::Instant::now();
        let answer = client_of(&loaded.hosts[0])
            .post(Notification::numbered(u64::MAX).body())
            .await;
        answer.expect(503, "journal-unavailable");
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
        loaded.servers[0].run();
    }
    loaded.acknowledges(BETWEEN).await;
    loaded.end(2).await;
    let events = all_events(&mut loaded.hosts[1].client()).await;
    let seqs: HashSet<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs.len(), events.len());
}

fn client_of(host: &Host) -> Client {
    host.client().with_patience(PATIENCE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_hangs_does_not_stop_the_others() {
    let Some(mut loaded) = Loaded::start(3) else {
        return;
    };
    loaded.acknowledges(BETWEEN).await;
    loaded.hosts[0].signal(Signal::STOP);
    loaded.acknowledges(2 * BETWEEN).await;
    loaded.hosts[0].signal(Signal::CONT);
    loaded.acknowledges(BETWEEN).await;
    loaded.end(0).await;
}

#[tokio::test]
async fn a_database_that_is_not_durable_or_not_there_stops_the_start() {
    let Some(server) = Server::start(&[("fsync", "off")]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = setup(&server.url(), folder.path()).fail();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fsync"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    let checked = Program::new(["check", "--admin", "off"])
        .variable(("BATCHTASK_JOURNAL", &server.url()))
        .variable(("BATCHTASK_LISTEN", "127.0.0.1:0"));
    let said = checked.run().expect(2).stderr;
    assert!(
        said.contains("`BATCHTASK_JOURNAL` cannot be used"),
        "{said}"
    );
    assert!(said.contains("fsync") && !said.contains(PASSWORD), "{said}");
    drop(server);
    let nowhere = "postgres://batchtask:hush-hush@127.0.0.1:1/postgres";
    let (code, said) = Setup::in_folder(folder.path())
        .variable(("BATCHTASK_JOURNAL", nowhere))
        .without_journal()
        .fail();
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let url = "postgres://batchtask:hush-hush@127.0.0.1/postgres";
    let said = Program::new(["check", "--journal", url])
        .run()
        .expect(2)
        .stderr;
    assert!(said.contains("`--journal` has a password"), "{said}");
    assert!(!said.contains("hush"), "{said}");
    let backup = Program::new(["backup", "b.db"]).variable(("BATCHTASK_JOURNAL", url));
    let said = backup.run().expect(1).stderr;
    assert!(said.contains("pg_dump") && !said.contains("hush"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tasks_are_removed_while_hosts_run() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = setup(&server.url(), folder.path()).start();
    host.client().post(EXAMPLE).await.expect(200, "recorded");
    let prune = Program::new(["prune", "--older-than", "2"]);
    let pruned = prune.variable(("BATCHTASK_JOURNAL", &server.url())).run();
    assert!(pruned.expect(0).stdout.contains("0 events removed"));
    host.client().read(EXAMPLE_TASK).await;
}
