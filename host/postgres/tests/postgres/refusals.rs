//! Databases that cannot be a journal: each is refused with one clear message.

use std::time::{Duration, Instant};

use batchtask_journal::outbox::{Acquired, DeadLetter, Hold, ParkedEvent, SinkChange};
use batchtask_journal::{Appended, Bounds, Details, Entry, Journal, SignatureUse};
use batchtask_postgres::{Config, OpenError, Options, PostgresJournal};

use crate::support::entries::{entry, reject};
use crate::support::{Database, PASSWORD, Server, config, open};

/// Opens and checks a journal, which must fail both times with this text.
async fn refused(config: &Config, expected: &str) -> OpenError {
    let started = Instant::now();
    let checked = PostgresJournal::check(config, Options::default()).await;
    let opened = PostgresJournal::open(config, Options::default()).await;
    let (checked, opened) = (checked.unwrap_err(), opened.unwrap_err());
    assert!(started.elapsed() < Duration::from_secs(10));
    let text = opened.to_string();
    assert!(text.contains(expected), "{text}");
    assert_eq!(checked.to_string(), text);
    for shown in [text, format!("{opened:?}"), format!("{config:?}")] {
        assert!(!shown.contains(PASSWORD), "{shown}");
    }
    opened
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_place_user_or_password_is_named() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let port = server.port();
    let url = |credentials: &str, rest: &str| config(&format!("postgres://{credentials}@{rest}"));
    let at = format!("127.0.0.1:{port}");
    let error = refused(
        &url("batchtask:no", &format!("{at}/postgres")),
        "PGPASSWORD",
    )
    .await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let error = refused(&url("batchtask", &format!("{at}/postgres")), "PGPASSWORD").await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let right = format!("batchtask:{PASSWORD}");
    let error = refused(&url(&right, &format!("{at}/none")), "createdb").await;
    assert!(
        matches!(error, OpenError::UnknownDatabase { .. }),
        "{error:?}"
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let error = refused(&url(&right, &format!("{closed}/postgres")), "not reachable").await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    let error = refused(
        &url(&right, "no.such.host.invalid/postgres?sslmode=disable"),
        "not reachable",
    )
    .await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    // A host that is listed first and not reachable does not matter.
    let both = url(&right, &format!("{closed},{at}/postgres"));
    open(&both)
        .await
        .commit(vec![entry(0)])
        .await
        .expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_never_answers_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = config(&format!("postgres://user:{PASSWORD}@{address}/db"));
    let error = refused(&config, "no answer within 3000 ms").await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_fsync_is_refused() {
    let Some(server) = Server::start(&[("fsync", "off")]) else {
        return;
    };
    let error = refused(&config(&server.url()), "fsync=off").await;
    assert!(matches!(error, OpenError::FsyncOff { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_another_encoding_is_refused() {
    let Some(database) = Database::shared() else {
        return;
    };
    database.sql(
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let error = refused(&config(&database.url_of("latin")), "LATIN1").await;
    assert!(matches!(error, OpenError::Encoding { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_is_refused() {
    let Some(database) = Database::shared() else {
        return;
    };
    database.sql("CREATE DATABASE readonly");
    database.sql("ALTER DATABASE readonly SET default_transaction_read_only = on");
    let error = refused(
        &config(&database.url_of("readonly")),
        "does not allow writes",
    )
    .await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_of_others_are_not_touched() {
    let Some(database) = Database::shared() else {
        return;
    };
    for (name, table) in [
        ("foreign", "CREATE TABLE s.x (a int)"),
        ("similar", "CREATE TABLE s.journal (a int)"),
    ] {
        let schema = database.schema(name);
        database.sql(&format!("CREATE SCHEMA {schema}"));
        database.sql(&table.replace("s.", &format!("{schema}.")));
        let error = refused(&database.config(name), "is not a journal").await;
        assert!(matches!(error, OpenError::OtherProgram { .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("newer");
    open(&config).await.close().await;
    let schema = database.schema("newer");
    database.sql(&format!("UPDATE {schema}.journal SET version = 99"));
    let error = refused(&config, "schema version 99").await;
    assert!(
        matches!(error, OpenError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_changes_nothing() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("check");
    let warnings = PostgresJournal::check(&config, Options::default())
        .await
        .unwrap();
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("synchronous standby")),
        "{warnings:?}"
    );
    let schemas = format!(
        "SELECT count(*) FROM pg_namespace WHERE nspname = '{}'",
        database.schema("check")
    );
    assert_eq!(database.sql(&schemas), "0");
    let journal = open(&config).await;
    assert_eq!(journal.warnings(), warnings);
    PostgresJournal::check(&config, Options::default())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_needs_no_more_than_the_documented_rights() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    server.sql("CREATE ROLE receiver LOGIN PASSWORD 'other-secret-2'");
    let port = server.port();
    let limited = config(&format!(
        "postgres://receiver:other-secret-2@127.0.0.1:{port}/postgres"
    ));
    // Without tables, it may not create them.
    let opened = PostgresJournal::open(&limited, Options::default()).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::NotPermitted { .. }), "{error:?}");
    assert!(error.to_string().contains("permission denied"), "{error}");
    open(&config(&server.url())).await.close().await;
    let opened = PostgresJournal::open(&limited, Options::default()).await;
    let error = opened.unwrap_err();
    assert!(
        matches!(error, OpenError::MissingRights { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("USAGE ON SCHEMA batchtask"),
        "{error}"
    );
    server.sql(&documented_grants());
    let journal = open(&limited).await;
    let outcome = journal.commit(vec![entry(0)]).await.expect("committed");
    assert_eq!(outcome, [Appended::Recorded]);
    assert_eq!(journal.events_after(0, 9).await.unwrap().len(), 1);
    journal.prune(1).await.expect("pruned");
    journal.close().await;
    let dropped = server
        .psql("postgres")
        .args(["-c", "SET ROLE receiver; DROP TABLE batchtask.events"])
        .output();
    assert!(
        !dropped.unwrap().status.success(),
        "it may not drop a table"
    );
}

/// A right that is missing is either named, or not needed for anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_missing_right_is_named_with_its_table() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    open(&config(&server.url())).await.close().await;
    server.sql("CREATE ROLE receiver LOGIN PASSWORD 'other-secret-2'");
    server.sql(&documented_grants());
    let port = server.port();
    let limited = config(&format!(
        "postgres://receiver:other-secret-2@127.0.0.1:{port}/postgres"
    ));
    let tables = server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'batchtask'");
    let (mut number, mut named) = (0, 0);
    for table in tables.lines() {
        for right in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
            server.sql(&format!(
                "REVOKE {right} ON batchtask.{table} FROM receiver"
            ));
            number += 1;
            match PostgresJournal::open(&limited, small_quarantine()).await {
                Ok(journal) => work(&journal, number).await,
                Err(OpenError::MissingRights { missing, .. }) => {
                    assert_eq!(missing, format!("{right} ON {table}"));
                    refused(&limited, &missing).await;
                    named += 1;
                }
                Err(error) => panic!("{right} on {table}: {error}"),
            }
            server.sql(&format!("GRANT {right} ON batchtask.{table} TO receiver"));
        }
    }
    assert_eq!(named, 46);
    server.sql(
        "REVOKE INSERT, DELETE ON batchtask.events FROM receiver; \
         REVOKE UPDATE ON batchtask.totals FROM receiver; \
         REVOKE EXECUTE ON FUNCTION batchtask.prune FROM PUBLIC",
    );
    for missing in [
        "INSERT, DELETE ON events",
        "UPDATE ON totals",
        "EXECUTE ON FUNCTION prune",
    ] {
        refused(&limited, missing).await;
    }
}

/// Options with which rejects are dropped soon.
fn small_quarantine() -> Options {
    Options {
        bounds: Bounds {
            quarantine_max_bytes: 2048,
            ..Bounds::default()
        },
        ..Options::default()
    }
}

/// Does everything that a host does.
async fn work(journal: &PostgresJournal, number: u64) {
    for expected in [Appended::Recorded, Appended::Duplicate] {
        let mut sent = [entry(2 * number), entry(2 * number + 1)];
        if let [Entry::Event(open, signature), Entry::Event(done, _)] = &mut sent {
            open.request_id = Some(format!("{expected:?}"));
            (done.rank, done.received_at_ms) = (5, 10);
            *signature = Some(SignatureUse {
                signature: batchtask_notification::hex(&open.digest),
                digest: open.digest.clone(),
                expires_at_ms: number,
            });
        }
        let outcomes = journal.commit(sent.into()).await.expect("committed");
        assert_eq!(outcomes, [expected; 2]);
    }
    for _ in 0..2 {
        let rejects = vec![reject(1000), reject(1000), reject(1000)];
        journal.commit(rejects).await.expect("committed");
        let listed = journal.list_quarantine(None, 1).await.expect("readable");
        let dropped = journal.drop_reject(listed.rejects[0].seq).await;
        assert!(dropped.expect("dropped"));
    }
    journal.commit(vec![reject(1000)]).await.expect("committed");
    work_beside_events(journal).await;
    while journal.prune(11).await.expect("pruned").more {}
    assert!(!journal.events_after(0, 9).await.unwrap().is_empty());
    assert!(
        !journal
            .list_quarantine(None, 9)
            .await
            .unwrap()
            .rejects
            .is_empty()
    );
    journal.close().await;
}

/// Describes a task, claims a duty, and changes a sink.
async fn work_beside_events(journal: &PostgresJournal) {
    let mut events = journal.events_after(0, 1).await.expect("readable");
    let event = events.remove(0).event;
    let found = journal.find_task(&event.app_id, &event.task_id).await;
    assert!(found.expect("readable").is_some());
    let details = Details {
        app_id: event.app_id,
        task_id: event.task_id,
        ..Details::default()
    };
    for _ in 0..2 {
        let described = journal.describe(vec![details.clone()]).await;
        described.expect("described");
    }
    let second = Duration::from_secs(1);
    let claimed = journal.claim("a duty", "a host", second).await;
    assert!(claimed.expect("claimed"));
    let outbox = journal.outbox().expect("an outbox");
    let Acquired::Owned(fence) = outbox.acquire("sink", "owner", second, 0).await.unwrap() else {
        panic!("another owner has the sink");
    };
    let undelivered = SinkChange {
        parked: vec![ParkedEvent {
            seq: 1,
            app_id: "app".into(),
            task_id: "task".into(),
            attempts: 1,
            not_before_ms: 1,
            error: "refused".into(),
        }],
        dead: vec![DeadLetter {
            seq: 2,
            app_id: "app".into(),
            task_id: "task".into(),
            attempts: 1,
            died_at_ms: 1,
            error: "refused".into(),
        }],
        ..SinkChange::default()
    };
    let delivered = SinkChange {
        unparked: vec![1],
        resolved: vec![2],
        ..SinkChange::default()
    };
    for change in [&undelivered, &undelivered, &delivered] {
        let saved = outbox.save("sink", fence, change).await;
        assert_eq!(saved.expect("saved"), Hold::Kept);
    }
    assert!(outbox.load("sink").await.expect("readable").is_some());
    let released = outbox.release("sink", fence).await;
    assert_eq!(released.expect("released"), Hold::Kept);
}

/// Returns the statements in the documentation of the crate.
fn documented_grants() -> String {
    let text = include_str!("../../src/lib.rs");
    let start = text.find("```sql").expect("documented");
    let text = &text[start + 6..];
    let end = text.find("```").expect("closed");
    text[..end].replace("//!", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_makes_a_commit_less_durable() {
    let Some(database) = Database::shared() else {
        return;
    };
    open(&database.config("durable")).await.close().await;
    let schema = database.schema("durable");
    for (setting, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_write", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        // What the function sets lasts until the end of the transaction.
        let found = database.sql(&format!(
            "SET synchronous_commit = {setting}; BEGIN; \
             SELECT '' FROM {schema}.begin_write('1s'); SHOW synchronous_commit; COMMIT"
        ));
        assert_eq!(found.trim(), expected, "{setting}");
    }
}
