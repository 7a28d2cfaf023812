//! A log that is not read delays neither a request nor a stop.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::client::Client;
use crate::support::host::{CODE_CACHE, READ_TOKEN};
use crate::support::metrics::Metrics;
use crate::support::notifications::Notification;
use crate::support::program::remove_settings;
use crate::support::{PATIENCE, scale};

const DROPPED: &str = "batchtask_log_lines_dropped_total";

/// How long a stop may take: the drain ends at once, and the host waits at most a
/// second for the log.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A host whose standard error is not read once it listens.
struct Host {
    child: Child,
    stderr: BufReader<ChildStderr>,
    admin: SocketAddr,
    address: SocketAddr,
}

impl Host {
    fn start(folder: &std::path::Path, log: &str) -> Self {
        let journal = format!("sqlite:{}", folder.join("journal.db").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--admin", "127.0.0.1:0", "--min-free-disk-mib", "0"])
            .args(["--cache-dir", CODE_CACHE, "--journal", &journal]);
        remove_settings(&mut command);
        command.env("BATCHTASK_READ_TOKEN", READ_TOKEN);
        command.env("BATCHTASK_LOG", log);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let admin = address(&mut stderr, "admin listening on http://");
        let address = address(&mut stderr, ": listening on http://");
        Self {
            child,
            stderr,
            admin,
            address,
        }
    }

    async fn dropped(&self) -> f64 {
        let mut admin = Client::new(self.admin);
        Metrics::read(&mut admin).await.value(DROPPED)
    }

    /// Stops it, and returns how long that took.
    fn stop(&mut self) -> Duration {
        let started = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0));
                return started.elapsed();
            }
            assert!(started.elapsed() < PATIENCE, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the address after this text, in the next line that contains it.
fn address(stderr: &mut impl BufRead, before: &str) -> SocketAddr {
    let mut line = String::new();
    while !line.contains(before) {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let (_, rest) = line.split_once(before).unwrap();
    rest.trim().parse().unwrap()
}

/// Posts at least `least` notifications, and until lines are dropped. Each must be
/// answered 200, and soon.
async fn post_until_dropped(host: &Host, least: usize) {
    let mut client = Client::new(host.address);
    let (mut serial, started) = (0, Instant::now());
    while serial < least as u64 || host.dropped().await == 0.0 {
        for _ in 0..200 {
            let answer = client.post(Notification::numbered(serial).body()).await;
            answer.expect(200, "recorded");
            serial += 1;
        }
        assert!(started.elapsed() < PATIENCE, "no line is dropped");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_read_delays_no_request_and_no_stop() {
    let folder = tempfile::tempdir().unwrap();
    // Many lines for each request, so that few requests fill the queue.
    let mut host = Host::start(folder.path(), "trace");
    post_until_dropped(&host, scale("BATCHTASK_TEST_UNREAD", 1000)).await;
    let mut admin = Client::new(host.admin);
    for target in ["/healthz", "/readyz"] {
        assert_eq!(admin.get(target).await.status, 200, "{target}");
    }
    let took = host.stop();
    assert!(took < STOP_TIME, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_lines_are_reported_once_the_log_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::start(folder.path(), "trace");
    post_until_dropped(&host, 0).await;
    let dropped = host.dropped().await;
    let mut line = String::new();
    while !line.contains("log lines were dropped") {
        line.clear();
        let length = host.stderr.read_line(&mut line).unwrap();
        assert!(length > 0, "it ended");
        // Only complete lines were written.
        assert!(line.starts_with("20") && line.ends_with('\n'), "{line:?}");
    }
    assert!(line.contains(" WARN batchtask::logging"), "{line}");
    let (_, reported) = line.trim().rsplit_once("lines=").expect("a number");
    let reported: f64 = reported.parse().unwrap();
    assert!(reported >= dropped, "{reported} of {dropped}");
}

/// A start that fails ends even if standard error is not read.
#[test]
fn a_start_that_fails_does_not_wait_for_a_reader() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
    command.args([
        "serve",
        "--journal",
        "sqlite:/nowhere/b.db",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.args(["--admin", "off"]);
    remove_settings(&mut command);
    fill(&mut writer);
    let mut child = command.stderr(writer).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().code(), Some(1));
    drop(reader);
}

/// Fills a pipe.
fn fill(pipe: &mut std::io::PipeWriter) {
    rustix::fs::fcntl_setfl(&*pipe, rustix::fs::OFlags::NONBLOCK).unwrap();
    loop {
        match pipe.write(&[b'\n'; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    rustix::fs::fcntl_setfl(&*pipe, rustix::fs::OFlags::empty()).unwrap();
}
