//! The database, or the link to it, fails.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Error, Journal};
use batchtask_postgres::{Options, PostgresJournal};

use crate::support::entries::entry;
use crate::support::{
    Database, Load, Mode, PASSWORD, Proxy, Server, config, measure, open, open_hosts, scale,
};

/// How long any answer may take while the database fails.
const ANSWER: Duration = Duration::from_secs(8);

/// Returns how to open the journal of this server through a proxy.
fn through(proxy: &Proxy) -> batchtask_postgres::Config {
    let port = proxy.port();
    config(&format!(
        "postgres://batchtask:{PASSWORD}@127.0.0.1:{port}/postgres"
    ))
}

/// Commits an entry, which must fail in time. Returns the text of the error.
async fn fails(journal: &PostgresJournal, number: u64) -> String {
    let started = Instant::now();
    let result = journal.commit(vec![entry(number)]).await;
    assert!(started.elapsed() < ANSWER, "{:?}", started.elapsed());
    match result {
        Err(Error::Unavailable(text)) => {
            assert!(!text.contains(PASSWORD), "{text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

/// Commits an entry until that succeeds.
async fn recovers(journal: &PostgresJournal, number: u64) -> Appended {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match journal.commit(vec![entry(number)]).await {
            Ok(outcomes) => return outcomes[0],
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Stops and starts the server again and again while hosts write.
async fn nothing_is_lost_by(signal: &str) {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let server = Arc::new(server);
    let config = config(&server.url());
    let load = Load::start(open_hosts(&config, 2).await, 8);
    for _ in 0..scale("BATCHTASK_TEST_POSTGRES_STOPS", 3) {
        load.progress(300).await;
        let (server, signal) = (server.clone(), signal.to_owned());
        let restart = move || {
            server.stop(&signal);
            server.run();
        };
        tokio::task::spawn_blocking(restart)
            .await
            .expect("restarted");
    }
    load.progress(100).await;
    let (hosts, ledger) = load.finish().await;
    ledger.check(hosts[0].journal().as_ref()).await;
    eprintln!(
        "{signal}: {} acknowledged, {} errors, the longest after {} ms",
        ledger.acknowledged(),
        ledger.errors.load(Relaxed),
        ledger.longest_error_ms.load(Relaxed),
    );
    assert!(u128::from(ledger.longest_error_ms.load(Relaxed)) < ANSWER.as_millis() + 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_an_immediate_stop() {
    nothing_is_lost_by("QUIT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_a_kill() {
    nothing_is_lost_by("KILL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_an_orderly_stop() {
    nothing_is_lost_by("INT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_is_unavailable_until_it_is_back() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let journal = open(&config(&server.url())).await;
    journal.commit(vec![entry(0)]).await.expect("committed");
    journal.events_after(0, 1).await.expect("readable");
    server.stop("QUIT");
    let text = fails(&journal, 1).await;
    assert!(text.contains("127.0.0.1"), "{text}");
    let unreadable = journal.events_after(0, 1).await.unwrap_err();
    assert!(matches!(unreadable, Error::Unavailable(_)), "{unreadable}");
    // Later, commits fail at once, and there is no hot loop of attempts.
    tokio::time::sleep(Options::default().reconnect_grace).await;
    let before = measure(&journal, "failed_connects_total");
    let started = Instant::now();
    let mut commits = 0;
    while started.elapsed() < Duration::from_secs(2) {
        fails(&journal, 1).await;
        commits += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let attempts = measure(&journal, "failed_connects_total") - before;
    assert!(commits > 100, "{commits} commits failed");
    assert!(attempts < 10, "{attempts} attempts");
    server.run();
    assert_eq!(recovers(&journal, 1).await, Appended::Recorded);
    assert_eq!(journal.events_after(0, 9).await.unwrap().len(), 2);
    assert!(measure(&journal, "reconnects_total") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_is_bridged() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let journal = open(&through(&proxy)).await;
    proxy.set(Mode::Cut);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let restore = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.set(Mode::Forward);
    };
    let (committed, ()) = tokio::join!(journal.commit(vec![entry(0)]), restore);
    assert_eq!(committed.expect("it waited"), [Appended::Recorded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repetition_after_a_lost_answer_is_a_duplicate() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let journal = open(&through(&proxy)).await;
    journal.commit(vec![entry(0)]).await.expect("committed");
    proxy.set(Mode::LoseAnswers);
    let text = fails(&journal, 1).await;
    assert!(text.contains("did not confirm"), "{text}");
    assert_eq!(measure(&journal, "lost_answers_total"), 1);
    proxy.set(Mode::Forward);
    assert_eq!(recovers(&journal, 1).await, Appended::Duplicate);
    assert_eq!(journal.events_after(0, 9).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_down_ends_every_wait() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let journal = open(&through(&proxy)).await;
    journal.events_after(0, 1).await.expect("readable");
    proxy.set(Mode::Hold);
    fails(&journal, 0).await;
    fails(&journal, 0).await;
    let started = Instant::now();
    let unreadable = journal.events_after(0, 1).await.unwrap_err();
    assert!(matches!(unreadable, Error::Unavailable(_)), "{unreadable}");
    assert!(started.elapsed() < ANSWER);
    proxy.set(Mode::Forward);
    recovers(&journal, 0).await;
    assert_eq!(journal.events_after(0, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_that_do_not_arrive_are_replaced_by_polls() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let writer = open(&config(&server.url())).await;
    let reader = open(&through(&proxy)).await;
    writer.commit(vec![entry(0)]).await.expect("committed");
    let mut last_seq = reader.last_seq();
    for number in 1..4 {
        // The connection that listens is lost with its notifications.
        proxy.set(Mode::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        writer.commit(vec![entry(number)]).await.expect("committed");
        proxy.set(Mode::Forward);
        let waiting = last_seq.wait_for(|seq| *seq == number + 1);
        let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        waited.expect("polled").expect("open");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_server_are_told_apart() {
    let Some(database) = Database::shared() else {
        return;
    };
    let journal = open(&database.config("errors")).await;
    let schema = database.schema("errors");
    // The first insertions fail: a sequence keeps its count when they are undone.
    database.sql(&format!(
        "CREATE SEQUENCE {schema}.attempts;
         CREATE FUNCTION {schema}.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             CASE nextval('{schema}.attempts')
                 WHEN 1 THEN RAISE 'full' USING ERRCODE = '53100';
                 WHEN 2 THEN RAISE 'again' USING ERRCODE = '40001';
                 WHEN 4 THEN RAISE 'no idea' USING ERRCODE = '22012';
                 ELSE NULL;
             END CASE;
             RETURN NEW;
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON {schema}.events
             FOR EACH ROW EXECUTE FUNCTION {schema}.fail()"
    ));
    let full = journal.commit(vec![entry(0)]).await.unwrap_err();
    assert!(matches!(full, Error::Full(_)), "{full}");
    // The server said that it did not commit, so there was a second attempt.
    let outcome = journal.commit(vec![entry(0)]).await.expect("committed");
    assert_eq!(outcome, [Appended::Recorded]);
    let text = fails(&journal, 1).await;
    assert!(text.contains("no idea (SQLSTATE 22012)"), "{text}");
    assert_eq!(measure(&journal, "lost_answers_total"), 0);
    assert_eq!(recovers(&journal, 1).await, Appended::Recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lost_events_or_was_replaced_is_noticed() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let proxy = Proxy::start(server.port()).await;
    let journal = open(&through(&proxy)).await;
    let batch = (0..3).map(entry).collect();
    journal.commit(batch).await.expect("committed");
    let reconnect = async || {
        proxy.set(Mode::Cut);
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.set(Mode::Forward);
    };
    // Like the promotion of a standby that did not have the last event.
    server.sql(
        "DELETE FROM batchtask.events WHERE seq = 3; \
         UPDATE batchtask.totals SET last_seq = 2",
    );
    reconnect().await;
    assert_eq!(recovers(&journal, 2).await, Appended::Recorded);
    let feed = journal.events_after(2, 9).await.expect("readable");
    assert_eq!((feed.len(), feed[0].seq), (1, 3));
    server.sql("UPDATE batchtask.journal SET journal_id = gen_random_uuid()");
    reconnect().await;
    let text = fails(&journal, 3).await;
    assert!(text.contains("another journal than before"), "{text}");
}
