//! Databases that cannot be a journal: each is refused with one clear message.

use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Journal};
use batchtask_postgres::{Config, OpenError, Options, PostgresJournal};

use crate::support::entries::entry;
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
    assert!(matches!(error, OpenError::NotPermitted { .. }), "{error:?}");
    server.sql(&documented_grants());
    let journal = open(&limited).await;
    let outcome = journal.commit(vec![entry(0)]).await.expect("committed");
    assert_eq!(outcome, [Appended::Recorded]);
    assert_eq!(journal.events_after(0, 9).await.unwrap().len(), 1);
    journal.prune(1).await.expect("pruned");
    journal.close().await;
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
