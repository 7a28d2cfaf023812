//! A host that stops in the middle of a commit.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Error, Journal};
use batchtask_postgres::{Options, PostgresJournal};

use crate::support::entries::entry;
use crate::support::{Server, config, measure, open, scale};

/// The variable that makes the test [`child`] a host that writes.
const CHILD: &str = "BATCHTASK_TEST_POSTGRES_CHILD";

fn options() -> Options {
    Options {
        lock_timeout: Duration::from_secs(1),
        ..Options::default()
    }
}

/// Holds the lock in a session of psql, until its input ends.
fn hold(server: &Server, application_name: &str) -> Child {
    let mut psql = server.psql("postgres");
    psql.env("PGAPPNAME", application_name);
    let mut child = psql.stdin(Stdio::piped()).spawn().expect("psql");
    let statements = "BEGIN; SELECT last_seq FROM batchtask.totals FOR UPDATE;\n";
    let input = child.stdin.as_mut().expect("piped");
    input.write_all(statements.as_bytes()).expect("written");
    let until = Instant::now() + Duration::from_secs(10);
    let holders = "SELECT count(*) FROM pg_stat_activity \
                   WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL";
    while server.sql(holders) != "1" {
        assert!(Instant::now() < until, "psql does not hold the lock");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_delays_others_for_the_lock_timeout_only() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let journal = PostgresJournal::open(&config(&server.url()), options()).await;
    let journal = journal.expect("a journal");
    let mut psql = hold(&server, "somebody-else");
    for number in 0..2 {
        let started = Instant::now();
        let error = journal.commit(vec![entry(number)]).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("lock timeout"), "{error}");
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{:?}",
            started.elapsed()
        );
    }
    assert_eq!(measure(&journal, "lock_timeouts_total"), 2);
    // Another program's session is not ended. Once it ends, commits succeed.
    assert!(psql.try_wait().expect("a state").is_none());
    drop(psql.stdin.take());
    psql.wait().expect("ended");
    let outcome = journal.commit(vec![entry(0)]).await.expect("committed");
    assert_eq!(outcome, [Appended::Recorded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_holds_the_lock_and_stopped_is_disconnected() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let journal = PostgresJournal::open(&config(&server.url()), options()).await;
    let journal = journal.expect("a journal");
    let mut psql = hold(&server, "batchtask");
    let started = Instant::now();
    let outcome = journal.commit(vec![entry(0)]).await.expect("committed");
    assert_eq!(outcome, [Appended::Recorded]);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    drop(psql.stdin.take());
    psql.wait().expect("ended");
}

/// Not a test of its own: the host that [`a_stopped_process_blocks_nobody`] stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let journal = open(&config(&url)).await;
    for batch in 0.. {
        let start = 1_000_000 + batch * 400;
        let entries = (start..start + 400).map(entry).collect();
        if journal.commit(entries).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_blocks_nobody() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let server = Arc::new(server);
    let journal = PostgresJournal::open(&config(&server.url()), options()).await;
    let journal = journal.expect("a journal");
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "locks::child"])
        .env(CHILD, server.url())
        .stdout(Stdio::null())
        .spawn()
        .expect("a host");
    let signal = |name: &str| {
        let pid = child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill").success());
    };
    let until = Instant::now() + Duration::from_secs(20);
    while journal
        .events_after(0, 1)
        .await
        .expect("readable")
        .is_empty()
    {
        assert!(Instant::now() < until, "the other host does not write");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut longest = Duration::ZERO;
    for number in 0..scale("BATCHTASK_TEST_POSTGRES_SIGSTOPS", 15) {
        signal("STOP");
        let started = Instant::now();
        journal
            .commit(vec![entry(number as u64)])
            .await
            .expect("committed");
        longest = longest.max(started.elapsed());
        signal("CONT");
        tokio::time::sleep(Duration::from_millis(varied_ms(number))).await;
    }
    eprintln!("beside a stopped host, a commit took at most {longest:?}");
    assert!(longest < Duration::from_secs(4));
    child.kill().expect("killed");
    child.wait().expect("ended");
}

/// Returns different waits, so that the process is stopped at different moments.
fn varied_ms(number: usize) -> u64 {
    (number as u64 * 37) % 53
}
