//! A connection pooler in transaction mode, if PgBouncer is installed.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Journal};
use batchtask_postgres::{OpenError, Options, PostgresJournal};

use crate::support::entries::entry;
use crate::support::{Load, PASSWORD, Server, config, free_port, measure, open, open_hosts};

/// A running pooler, which is ended when this is dropped.
struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    /// Starts a pooler with additional settings. Returns `None` and says so if it
    /// is not installed.
    fn start(server: &Server, name: &str, settings: &str) -> Option<Self> {
        let program = std::env::var("BATCHTASK_TEST_PGBOUNCER");
        let program = program.unwrap_or_else(|_| "/usr/sbin/pgbouncer".into());
        if !fs::exists(&program).unwrap_or(false) {
            eprintln!("skipped: PgBouncer is not installed");
            return None;
        }
        let port = free_port();
        let server_port = server.port();
        let users = server.write("users", &format!("\"batchtask\" \"{PASSWORD}\"\n"));
        let file = server.write(
            name,
            &format!(
                "[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\n\
                 auth_file = {}\npool_mode = transaction\nunix_socket_dir =\n{settings}\n",
                users.display()
            ),
        );
        let mut command: Command = server.command(program.as_ref());
        command.arg(file).stderr(Stdio::null());
        let child = command.spawn().expect("a pooler");
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the pooler does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port })
    }

    fn config(&self) -> batchtask_postgres::Config {
        let port = self.port;
        config(&format!(
            "postgres://batchtask:{PASSWORD}@127.0.0.1:{port}/postgres"
        ))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_refuses_the_options_is_named() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let Some(pooler) = Pooler::start(&server, "strict.ini", "") else {
        return;
    };
    let opened = PostgresJournal::open(&pooler.config(), Options::default()).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Pooler { .. }), "{error:?}");
    assert!(
        error.to_string().contains("ignore_startup_parameters"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_behind_a_pooler_works_by_polling() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let settings = "ignore_startup_parameters = options\ndefault_pool_size = 8";
    let Some(pooler) = Pooler::start(&server, "mild.ini", settings) else {
        return;
    };
    let journals = open_hosts(&pooler.config(), 3).await;
    let warnings = journals[0].warnings().join("\n");
    assert!(warnings.contains("pooler"), "{warnings}");
    // A role that does not wait for the disk is overruled for each commit.
    server.sql("ALTER ROLE batchtask SET synchronous_commit = off");
    let load = Load::start(journals, 8);
    load.progress(500).await;
    let (hosts, ledger) = load.finish().await;
    ledger.check(hosts[0].journal().as_ref()).await;
    // Another host's events arrive without notifications.
    let direct = open(&config(&server.url())).await;
    let mut last_seq = hosts[0].journal().last_seq();
    for number in 0..6 {
        let next = *last_seq.borrow() + 1;
        let outcome = direct.commit(vec![entry(1_000_000 + number)]).await;
        assert_eq!(outcome.expect("committed"), [Appended::Recorded]);
        let waiting = last_seq.wait_for(|seq| *seq >= next);
        let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        waited.expect("polled").expect("open");
    }
    assert!(measure(hosts[0].journal().as_ref(), "polled_events_total") > 0);
}
