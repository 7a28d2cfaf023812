//! A synchronous standby: what was acknowledged survives the loss of the primary.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Error, Journal};
use batchtask_postgres::{OpenError, Options, PostgresJournal};

use crate::support::entries::entry;
use crate::support::{Load, PASSWORD, Server, config, open, open_hosts};

/// Returns how to open the journal of a cluster.
fn both(one: &Server, other: &Server) -> batchtask_postgres::Config {
    let (one, other) = (one.port(), other.port());
    config(&format!(
        "postgres://batchtask:{PASSWORD}@127.0.0.1:{one},127.0.0.1:{other}/postgres"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_a_standby_is_promoted() {
    let Some((primary, standby)) = Server::cluster() else {
        return;
    };
    // A standby alone is refused, and with its primary it is passed over.
    let alone = PostgresJournal::open(&config(&standby.url()), Options::default()).await;
    let error = alone.unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    let config = both(&standby, &primary);
    let journals = open_hosts(&config, 2).await;
    assert!(
        journals[0].warnings().is_empty(),
        "{:?}",
        journals[0].warnings()
    );
    let load = Load::start(journals, 8);
    load.progress(500).await;
    let promote = move || {
        primary.stop("KILL");
        standby.promote();
        (primary, standby)
    };
    let servers = tokio::task::spawn_blocking(promote)
        .await
        .expect("promoted");
    load.progress(300).await;
    let (hosts, ledger) = load.finish().await;
    ledger.check(hosts[0].journal().as_ref()).await;
    eprintln!(
        "promoted: {} acknowledged, {} errors, the longest after {} ms",
        ledger.acknowledged(),
        ledger.errors.load(Relaxed),
        ledger.longest_error_ms.load(Relaxed),
    );
    drop(servers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_while_the_standby_is_away() {
    let Some((primary, standby)) = Server::cluster() else {
        return;
    };
    let options = Options {
        commit_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(1),
        ..Options::default()
    };
    let journal = PostgresJournal::open(&config(&primary.url()), options).await;
    let journal = journal.expect("a journal");
    journal.commit(vec![entry(0)]).await.expect("committed");
    standby.stop("INT");
    // Neither a new event nor a duplicate, which only this server may have.
    for number in [1, 0] {
        let error = journal.commit(vec![entry(number)]).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
    }
    standby.run();
    let until = Instant::now() + Duration::from_secs(20);
    let outcome = loop {
        match journal.commit(vec![entry(1)]).await {
            Ok(outcome) => break outcome,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    assert_eq!(outcome, [Appended::Duplicate]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_wait_for_the_standby_was_cancelled_is_not_confirmed() {
    let Some((primary, standby)) = Server::cluster() else {
        return;
    };
    let journal = open(&config(&primary.url())).await;
    standby.stop("INT");
    let cancel = async {
        let waiting = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity \
                       WHERE wait_event = 'SyncRep'";
        let until = Instant::now() + Duration::from_secs(5);
        while primary.sql(waiting) == "0" {
            assert!(Instant::now() < until, "nothing waits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (committed, ()) = tokio::join!(journal.commit(vec![entry(0)]), cancel);
    let error = committed.unwrap_err();
    assert!(
        error.to_string().contains("standby did not confirm"),
        "{error}"
    );
}
