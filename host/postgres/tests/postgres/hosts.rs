//! Several hosts write one journal.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, Bounds, Entry, GroupCommit, Journal, TaskQuery};
use batchtask_postgres::{Options, PostgresJournal};

use crate::support::entries::{entry, event, number, reject, signature};
use crate::support::{Database, Load, measure, open, open_hosts, scale};

/// Follows the feed on one host after the other, with one cursor, until `events`
/// were seen.
async fn follow(hosts: &[Arc<GroupCommit>], events: usize) -> Vec<u64> {
    let mut seqs: Vec<u64> = Vec::new();
    for host in hosts.iter().cycle() {
        let after = seqs.last().copied().unwrap_or(0);
        let page = host.follow(after, 137, 500).await.expect("readable");
        seqs.extend(page.iter().map(|stored| stored.seq));
        if seqs.len() >= events {
            return seqs;
        }
    }
    unreachable!("there are hosts")
}

async fn numbers_are_dense_under_load(hosts: usize, writers: usize) {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("load");
    let load = Load::start(open_hosts(&config, hosts).await, writers);
    let events = scale("BATCHTASK_TEST_POSTGRES_EVENTS", 2_000);
    let started = Instant::now();
    let seqs = follow(load.hosts(), events).await;
    let rate = events as f64 / started.elapsed().as_secs_f64();
    eprintln!("{hosts} hosts: {rate:.0} events/s with a follower");
    // No event was missed or seen twice, although all hosts wrote at full rate.
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let (hosts, ledger) = load.finish().await;
    assert_eq!(ledger.errors.load(Relaxed), 0);
    for host in hosts {
        ledger.check(host.journal().as_ref()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_makes_a_dense_feed() {
    numbers_are_dense_under_load(1, 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_make_a_dense_feed() {
    numbers_are_dense_under_load(2, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hosts_make_a_dense_feed() {
    numbers_are_dense_under_load(4, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_hosts_make_a_dense_feed() {
    numbers_are_dense_under_load(8, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_hosts_create_the_tables_at_once() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("start");
    let hosts = open_hosts(&config, scale("BATCHTASK_TEST_POSTGRES_HOSTS", 12)).await;
    for (place, host) in (0..).zip(&hosts) {
        let outcome = host.commit(vec![entry(place)]).await.expect("committed");
        assert_eq!(outcome, [Appended::Recorded]);
    }
    assert_eq!(
        hosts[0].events_after(0, 500).await.unwrap().len(),
        hosts.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_events_on_all_hosts_are_stored_once() {
    let Some(database) = Database::shared() else {
        return;
    };
    let hosts = open_hosts(&database.config("same"), 4).await;
    let hosts: Vec<_> = hosts.into_iter().map(Arc::new).collect();
    let mut writers = tokio::task::JoinSet::new();
    for host in &hosts {
        let host = host.clone();
        writers.spawn(async move {
            let mut recorded = 0;
            for batch in 0..20 {
                let entries = (0..10).map(|place| entry(batch * 10 + place)).collect();
                let outcomes = host.commit(entries).await.expect("committed");
                recorded += outcomes
                    .iter()
                    .filter(|o| **o == Appended::Recorded)
                    .count();
            }
            recorded
        });
    }
    let recorded: usize = writers.join_all().await.into_iter().sum();
    assert_eq!(recorded, 200);
    let feed = hosts[3].events_after(0, 500).await.unwrap();
    assert_eq!(feed.len(), 200);
    // The other three arrivals of each were counted.
    assert!(feed.iter().all(|stored| stored.duplicates == 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_admits_one_notification_on_all_hosts() {
    let Some(database) = Database::shared() else {
        return;
    };
    let hosts = open_hosts(&database.config("signed"), 4).await;
    let hosts: Vec<_> = hosts.into_iter().map(Arc::new).collect();
    for name in 0..scale("BATCHTASK_TEST_POSTGRES_SIGNATURES", 20) {
        let name = u8::try_from(name).unwrap_or(u8::MAX);
        // At the same time on every host, each with another notification.
        let mut commits = tokio::task::JoinSet::new();
        for (host, place) in hosts.iter().cloned().zip(0..) {
            let number = u64::from(name) * 10 + place;
            let entry = Entry::Event(event("task", number), Some(signature(name, number)));
            commits.spawn(async move { host.commit(vec![entry]).await.expect("committed") });
        }
        let outcomes = commits.join_all().await.concat();
        let recorded = outcomes
            .iter()
            .filter(|o| **o == Appended::Recorded)
            .count();
        let replayed = outcomes
            .iter()
            .filter(|o| **o == Appended::Replayed)
            .count();
        assert_eq!((recorded, replayed), (1, 3));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_quarantine_is_bounded_over_all_hosts() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("bound");
    let bounds = Bounds {
        quarantine_max_bytes: 20_000,
        ..Bounds::default()
    };
    let options = Options {
        bounds,
        ..Options::default()
    };
    let one = PostgresJournal::open(&config, options).await.unwrap();
    let other = PostgresJournal::open(&config, options).await.unwrap();
    for _ in 0..20 {
        for host in [&one, &other] {
            host.commit(vec![reject(1_000)]).await.unwrap();
        }
    }
    let page = one.list_quarantine(None, 500).await.unwrap();
    assert!(page.rejects.len() <= 15, "{}", page.rejects.len());
    assert_eq!(page.dropped as usize + page.rejects.len(), 40);
    let same = other.list_quarantine(None, 500).await.unwrap();
    assert_eq!(format!("{page:?}"), format!("{same:?}"));
    assert!(measure(&other, "quarantine_bytes") <= 20_000);
    assert_eq!(measure(&other, "quarantine_dropped_total"), page.dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_and_cursor_is_the_same_on_all_hosts() {
    let Some(database) = Database::shared() else {
        return;
    };
    let hosts = open_hosts(&database.config("reads"), 2).await;
    for place in 0..200 {
        hosts[place % 2]
            .commit(vec![entry(place as u64)])
            .await
            .unwrap();
    }
    let query = |cursor| TaskQuery {
        cursor,
        limit: 10,
        ..TaskQuery::all()
    };
    // Page by page, on the other host each time.
    let (mut cursor, mut found) = (None, Vec::new());
    for host in hosts.iter().cycle() {
        let page = host.list_tasks(&query(cursor.clone())).await.unwrap();
        let same = hosts[0].list_tasks(&query(cursor)).await.unwrap();
        assert_eq!(format!("{page:?}"), format!("{same:?}"));
        found.extend(page.tasks.into_iter().map(|task| task.task_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 97);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 97);
    let summaries = [
        hosts[0].summarize(u64::MAX).await.unwrap(),
        hosts[1].summarize(u64::MAX).await.unwrap(),
    ];
    assert_eq!(format!("{:?}", summaries[0]), format!("{:?}", summaries[1]));
    assert_eq!(summaries[0].stale, Some(97));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_is_notified_at_once() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("wake");
    let options = Options {
        poll_interval: Duration::from_secs(3600),
        ..Options::default()
    };
    let one = open(&config).await;
    let other = PostgresJournal::open(&config, options).await.unwrap();
    // Until the connection of the feed is there.
    let mut last_seq = other.last_seq();
    one.commit(vec![entry(0)]).await.unwrap();
    let waiting = last_seq.wait_for(|seq| *seq == 1);
    tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .expect("polled")
        .unwrap();
    let mut waits = Vec::new();
    for place in 1..20 {
        one.commit(vec![entry(place)]).await.unwrap();
        let started = Instant::now();
        let waiting = last_seq.wait_for(|seq| *seq == place + 1);
        let waited = tokio::time::timeout(Duration::from_secs(5), waiting).await;
        waited.expect("notified").unwrap();
        waits.push(started.elapsed());
        let events = other.events_after(place, 10).await.unwrap();
        assert_eq!(number(&events[0].event.digest), place);
    }
    waits.sort();
    eprintln!(
        "a notification takes {:?}, at most {:?}",
        waits[waits.len() / 2],
        waits.last()
    );
    assert_eq!(measure(&other, "polled_events_total"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tasks_are_removed_by_the_hosts() {
    let Some(database) = Database::shared() else {
        return;
    };
    let config = database.config("keep");
    let options = Options {
        keep: Some(Duration::from_secs(3600)),
        ..Options::default()
    };
    let one = PostgresJournal::open(&config, options).await.unwrap();
    let other = PostgresJournal::open(&config, options).await.unwrap();
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let final_event = |task: &str, number| {
        let mut event = event(task, number);
        event.rank = 5;
        event.received_at_ms = u64::try_from(now_ms).unwrap();
        Entry::Event(event, None)
    };
    let batch = vec![final_event("old", 1), final_event("new", 2)];
    one.commit(batch).await.unwrap();
    let tasks = format!("{}.tasks", database.schema("keep"));
    database.sql(&format!(
        "UPDATE {tasks} SET last_received_at_ms = last_received_at_ms - 7200000 \
         WHERE task_id = 'old'"
    ));
    let until = Instant::now() + Duration::from_secs(20);
    while other.find_task("app", "old").await.unwrap().is_some() {
        assert!(Instant::now() < until, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(other.find_task("app", "new").await.unwrap().is_some());
}
