//! Three hosts on one PostgreSQL behind HAProxy, with the configuration of
//! `docs/postgres.md`. Skipped if HAProxy or PostgreSQL is not installed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use crate::shared::proxy::{Mode, Proxy};
use crate::shared::server::{Server, free_port};
use crate::shared::{setup, url_of};
use crate::support::client::Client;
use crate::support::host::Host;
use crate::support::platform::{Pace, Platform};
use crate::support::pushes::Pushes;
use crate::support::{PATIENCE, scale};

/// The names of the hosts in the configuration, with the addresses there.
const HOSTS: [(&str, &str, &str); 3] = [
    ("a", "127.0.0.1:8081", "port 9091"),
    ("b", "127.0.0.1:8082", "port 9092"),
    ("c", "127.0.0.1:8083", "port 9093"),
];

/// How often hosts are restarted, killed or cut off.
fn rounds() -> usize {
    scale("BATCHTASK_TEST_BALANCER_ROUNDS", 1)
}

/// A running HAProxy, which is killed when this is dropped.
struct Balancer {
    child: Child,
    address: SocketAddr,
    lines: watch::Receiver<Vec<String>>,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of HAProxy, if it is installed.
fn haproxy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join("haproxy"));
    let found = programs.find(|program| program.exists());
    if found.is_none() {
        eprintln!("skipped: HAProxy is not installed");
    }
    found
}

/// The documented configuration.
fn documented() -> &'static str {
    let text = include_str!("../docs/postgres.md");
    let (_, rest) = text.split_once("```text\nglobal").expect("documented");
    let (configuration, _) = rest.split_once("```").expect("closed");
    configuration
}

impl Balancer {
    /// Starts HAProxy in front of these hosts.
    fn start(program: &Path, hosts: &[Host], folder: &Path) -> Self {
        let port = free_port();
        let mut text = format!(
            "global{}",
            documented().replace(":8080", &format!("127.0.0.1:{port}"))
        );
        for ((_, address, admin), host) in HOSTS.iter().zip(hosts) {
            text = text.replace(address, &host.address().to_string());
            text = text.replace(admin, &format!("port {}", host.admin_address().port()));
        }
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, text).expect("written");
        let mut command = Command::new(program);
        command
            .arg("-db")
            .arg("-f")
            .arg(&file)
            .stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
        let (sender, lines) = watch::channel(Vec::new());
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        let address = ([127, 0, 0, 1], port).into();
        Self {
            child,
            address,
            lines,
        }
    }

    /// Waits until it has said this `times` times about a host.
    async fn says(&mut self, host: &str, state: &str, times: usize) {
        let part = format!("Server receivers/{host} is {state}");
        let count = |lines: &Vec<String>| lines.iter().filter(|line| line.contains(&part)).count();
        let said = self.lines.wait_for(|lines| count(lines) >= times);
        let said = tokio::time::timeout(PATIENCE, said).await;
        said.unwrap_or_else(|_| panic!("HAProxy does not say `{part}`"))
            .expect("it runs");
    }

    /// Waits until it answers.
    async fn is_up(&self) {
        let ready = async {
            while tokio::net::TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        ready.expect("HAProxy listens");
    }
}

/// Three hosts behind a balancer. The first one reaches the database by a proxy.
struct Site {
    balancer: Balancer,
    hosts: Vec<Host>,
    link: Proxy,
    _folder: TempDir,
    _server: Server,
}

impl Site {
    /// Returns `None` if something is not installed.
    async fn start() -> Option<Self> {
        let program = haproxy()?;
        let server = Server::start(&[])?;
        let link = Proxy::start(server.port()).await;
        let folder = tempfile::tempdir().unwrap();
        let ports = [link.port(), server.port(), server.port()];
        // A host that is started again has the same addresses.
        let address = || -> &'static str { format!("127.0.0.1:{}", free_port()).leak() };
        let hosts = ports.map(|port| {
            setup(&url_of(&[port]), folder.path())
                .variable(("BATCHTASK_TRUSTED_PROXIES", "127.0.0.1"))
                .listening_on(address())
                .with_admin_on(address())
                .start()
        });
        let hosts = Vec::from(hosts);
        let balancer = Balancer::start(&program, &hosts, folder.path());
        balancer.is_up().await;
        Some(Self {
            balancer,
            hosts,
            link,
            _folder: folder,
            _server: server,
        })
    }

    /// Checks that a host gets pushes again.
    async fn is_used(&self, at: usize) {
        let count = |metrics: &crate::support::metrics::Metrics| metrics.requests("recorded");
        let before = count(&self.hosts[at].metrics().await);
        self.hosts[at]
            .counts(|metrics| count(metrics) > before + 5.0)
            .await;
    }
}

impl Site {
    /// Waits until a host gets none of a hundred pushes. Before, it may still answer those
    /// that it has.
    async fn is_unused(&self, at: usize, platform: &mut Platform) {
        let mut before = f64::NAN;
        loop {
            let delivered = platform.ledger().len();
            platform
                .reports(|report| report.delivered >= delivered + 100)
                .await;
            let metrics = self.hosts[at].metrics().await;
            let now = metrics.sum("batchtask_requests_total");
            if now == before {
                return;
            }
            before = now;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_push() {
    let Some(mut site) = Site::start().await else {
        return;
    };
    let address = site.balancer.address;
    let clients = (0..8).map(|_| Client::new(address).with_patience(PATIENCE));
    let pushes = Pushes::start(200, clients);
    for _ in 0..rounds() {
        for at in 0..3 {
            pushes.answered(100).await;
            let host = site.hosts.remove(at).stop_and_restart();
            site.hosts.insert(at, host);
            site.is_used(at).await;
        }
    }
    pushes.answered(100).await;
    let (ledger, report) = pushes.end().await;
    assert!(report.missed.is_empty(), "{:?}", report.missed);
    assert_eq!(ledger.check(&mut site.hosts[1].client()).await, 0);
    eprintln!(
        "rolling restart: {} pushes, the slowest answer after {:?}",
        ledger.len(),
        report.slowest
    );
}

/// The platform blocks a host after ten failures in a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_host_does_not_block_the_others() {
    let Some(mut site) = Site::start().await else {
        return;
    };
    let mut platform = Platform::start(pace(), site.balancer.address);
    for round in 0..rounds() {
        let at = round % 3;
        let before = platform.ledger().len();
        platform
            .reports(|report| report.delivered >= before + 100)
            .await;
        let host = site.hosts.remove(at);
        let setup = host.setup().clone();
        host.kill();
        let (name, ..) = HOSTS[at];
        site.balancer.says(name, "DOWN", round / 3 + 1).await;
        site.hosts.insert(at, setup.start());
        site.is_used(at).await;
    }
    ends_unblocked(platform, &site.hosts[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_its_database_leaves_the_rotation_and_comes_back() {
    let Some(mut site) = Site::start().await else {
        return;
    };
    let mut platform = Platform::start(pace(), site.balancer.address);
    for round in 0..rounds() {
        let before = platform.ledger().len();
        platform
            .reports(|report| report.delivered >= before + 100)
            .await;
        site.link.set([Mode::Hold, Mode::Cut][round % 2]);
        site.balancer.says("a", "DOWN", round + 1).await;
        let unused = tokio::time::timeout(PATIENCE, site.is_unused(0, &mut platform)).await;
        unused.expect("it gets no push");
        site.link.set(Mode::Forward);
        site.balancer.says("a", "UP", round + 1).await;
        site.is_used(0).await;
    }
    ends_unblocked(platform, &site.hosts[1]).await;
}

fn pace() -> Pace {
    Pace {
        per_s: 100,
        ..Pace::default()
    }
}

/// Checks that the platform was never blocked, and that everything that it delivered is
/// stored.
async fn ends_unblocked(platform: Platform, host: &Host) {
    let (ledger, report) = platform.end().await;
    assert_eq!((report.blocks, report.dropped), (0, 0), "{report:?}");
    ledger.check(&mut host.client()).await;
    eprintln!(
        "{} delivered, {} not, the slowest push {:?}",
        report.delivered, report.discarded, report.slowest_push
    );
}
