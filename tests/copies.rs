//! `batchtask journal copy`: a journal moves between files and databases, and nothing
//! is missing afterwards.

use std::path::Path;

use serde_json::Value;

use crate::shared::server::{PASSWORD, Server};
use crate::support::EXAMPLE;
use crate::support::host::Setup;
use crate::support::ledger::{all_events, all_pages, all_tasks};
use crate::support::notifications::Notification;
use crate::support::program::Program;

/// Everything that a receiver shows.
async fn readings(setup: &Setup) -> Vec<Value> {
    let host = setup.start();
    let mut client = host.client();
    let mut all = all_events(&mut client).await;
    all.extend(all_tasks(&mut client).await);
    all.extend(all_pages(&mut client, "/quarantine?limit=500", "rejects").await);
    let mut summary = client.read("/summary").await;
    // Notices are about the host.
    summary["notices"].take();
    all.push(summary);
    host.stop();
    all
}

/// A receiver that accepts everything, on a new journal in this folder.
fn setup(folder: &Path) -> Setup {
    Setup::in_folder(folder).variable(("BATCHTASK_UNPROCESSABLE", "accept"))
}

/// Fills the journal of a receiver.
async fn fill(setup: &Setup, events: u64) {
    let host = setup.start();
    let mut client = host.client();
    for body in [EXAMPLE, EXAMPLE] {
        assert_eq!(client.post(body).await.status, 200);
    }
    for serial in 0..events {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
    for body in ["{}", "[1]"] {
        client.post(body).await.expect(200, "quarantined");
    }
    host.stop();
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn copy(from: &str, to: &str) -> Program {
    Program::new(["journal", "copy", from, to]).variable(("PGPASSWORD", PASSWORD))
}

/// The line with the digest.
fn digest(stdout: &str) -> &str {
    let line = stdout.lines().find(|line| line.contains("SHA-256"));
    line.expect("a digest")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_moves_to_a_database_and_back() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    fill(&setup, 40).await;
    let expected = readings(&setup).await;
    let database = format!("postgres://batchtask@127.0.0.1:{}/postgres", server.port());
    let there = copy(&sqlite(setup.journal()), &database).run().expect(0);
    assert!(
        there.stdout.contains("41 tasks, 41 events, 2 rejects"),
        "{}",
        there.stdout
    );
    let on_database = setup.clone().without_journal();
    let on_database = on_database.variable(("BATCHTASK_JOURNAL", &server.url()));
    assert_eq!(readings(&on_database).await, expected);
    let again = folder.path().join("again.db");
    let back = copy(&database, &sqlite(&again)).run().expect(0);
    assert_eq!(digest(&back.stdout), digest(&there.stdout));
    assert_eq!(readings(&setup.with_journal(again.clone())).await, expected);
    // A journal with content is not overwritten.
    let refused = copy(&database, &sqlite(&again)).run().expect(1);
    assert!(
        refused.stderr.contains("is not empty"),
        "{}",
        refused.stderr
    );
    for text in [&there.stdout, &back.stdout, &refused.stderr] {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_copy_goes_on_and_is_no_journal_before() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    fill(&setup, 5).await;
    // Many events, without the time that pushes take.
    let rows = "WITH RECURSIVE n (n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM n LIMIT 60000) \
        INSERT INTO events (seq, task, digest, occurred_at_ms, rank, received_at_ms, flags, late, \
            duplicates, task_type, status, status_desc, body) \
        SELECT n, 1, randomblob(32), n, 1, n, 0, 0, 0, 't', 's', 'd', zeroblob(600) FROM n; \
        UPDATE totals SET last_seq = 70000";
    let connection = rusqlite::Connection::open(setup.journal()).unwrap();
    connection.execute_batch(rows).unwrap();
    drop(connection);
    let (from, to) = (sqlite(setup.journal()), folder.path().join("to.db"));
    for interrupted in 0..3 {
        let mut running = copy(&from, &sqlite(&to)).spawn();
        while !is_begun(&to, interrupted) {
            let ended = running.try_wait().unwrap();
            assert!(ended.is_none(), "the copy ended too soon: {ended:?}");
        }
        running.kill().unwrap();
        running.wait().unwrap();
        let (code, said) = setup.clone().with_journal(to.clone()).fail();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("incomplete copy"), "{said}");
        let checked = Program::new(["check", "--admin", "off", "--journal", &sqlite(&to)]);
        let said = checked.run().expect(2).stderr;
        assert!(said.contains("incomplete copy"), "{said}");
    }
    let copied = copy(&from, &sqlite(&to)).run().expect(0);
    assert!(copied.stdout.contains("60006 events"), "{}", copied.stdout);
    let whole = copy(&from, &sqlite(&folder.path().join("whole.db"))).run();
    assert_eq!(whole.expect(0).stdout, copied.stdout);
    let refused = copy(&from, &sqlite(&to)).run().expect(1);
    assert!(
        refused.stderr.contains("is not empty"),
        "{}",
        refused.stderr
    );
}

/// Whether a copy has come further than this many batches.
fn is_begun(path: &Path, batches: usize) -> bool {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(connection) = rusqlite::Connection::open_with_flags(path, flags) else {
        return false;
    };
    let sql = "SELECT part * 1000000 + records FROM copying";
    let place = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    place.is_ok_and(|place| place > 1_000_000 + 2000 * batches as i64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_in_use_or_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let host = setup.start();
    let to = sqlite(&folder.path().join("to.db"));
    let refused = copy(&sqlite(setup.journal()), &to).run().expect(1);
    assert!(refused.stderr.contains("is in use"), "{}", refused.stderr);
    host.stop();
    let missing = sqlite(&folder.path().join("missing.db"));
    let refused = copy(&missing, &to).run().expect(1);
    assert!(
        refused.stderr.contains("there is no journal"),
        "{}",
        refused.stderr
    );
    assert!(!folder.path().join("missing.db").exists());
    for (from, to, expected) in [
        ("mysql://x", &*to, "it must be `sqlite:PATH`"),
        ("postgres://u:hush-hush@127.0.0.1:1/db", &to, "PGPASSWORD"),
    ] {
        let refused = copy(from, to).run().expect(2);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
        assert!(!refused.stderr.contains("hush"), "{}", refused.stderr);
    }
}
