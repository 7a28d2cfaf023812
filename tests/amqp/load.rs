//! A journal that does not work, malformed messages, and a backlog.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use batchtask_amqp::{Client, Credentials, Inbox, Metrics, Options, Publisher, Verdict};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::brokers::rabbit::{QUEUE, Rabbit};
use super::brokers::rhea::Rhea;
use super::brokers::{ACCESS_CODE, ACCESS_KEY, eventually};
use super::{bodies, check_events, receiving, receiving_only};
use crate::disks::lock;
use crate::support::client::Client as HttpClient;
use crate::support::host::{Host, Setup};
use crate::support::notifications::Notification;
use crate::support::scale;

/// How much memory messages that wait may take, in KiB.
const MEMORY_KIB: u64 = 64 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_journal_does_not_work_nothing_is_accepted_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let seconds = scale("BATCHTASK_TEST_AMQP_OUTAGE_SECONDS", 10);
    let host = receiving_only(folder.path(), &broker).start();
    broker.publish(&bodies(0..100), "text").await;
    broker.counts("accepted", 100).await;
    let before_kib = host.resident_kib();
    let locked = lock(host.setup().journal());
    broker.publish(&bodies(100..2100), "text").await;
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let state = broker.state().await;
    assert_eq!(state["accepted"], 100, "{state}");
    let in_progress = u64::from(batchtask_amqp::DEFAULT_MESSAGES);
    assert!(
        state["unsettled"].as_u64().unwrap() <= in_progress,
        "{state}"
    );
    let grown_kib = host.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < MEMORY_KIB, "{grown_kib} KiB");
    drop(locked);
    broker.counts("accepted", 2100).await;
    check_events(&mut host.client(), 2100).await;
    let state = broker.state().await;
    eprintln!("{seconds} s without a journal, {grown_kib} KiB more memory: {state}");
    assert_eq!(
        (&state["logins"], &state["other"]),
        (&1.into(), &0.into()),
        "{state}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_go_to_the_quarantine_and_stop_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let host = receiving_only(folder.path(), &broker).start();
    for part in 0..10 {
        let malformed: Vec<String> = (0..98)
            .map(|number| format!("{{ {part} {number}"))
            .collect();
        broker.publish(&malformed, "text").await;
        broker
            .publish(&bodies(part * 100..part * 100 + 100), "data")
            .await;
        broker.publish(&[format!("a map {part}")], "map").await;
        broker
            .publish(&[format!("no message {part}")], "broken")
            .await;
    }
    broker.counts("accepted", 2000).await;
    let mut client = host.client();
    check_events(&mut client, 1000).await;
    let rejects =
        crate::support::ledger::all_pages(&mut client, "/quarantine?limit=500", "rejects");
    assert_eq!(rejects.await.len(), 1000);
    let metrics = host.metrics().await;
    assert_eq!(metrics.requests_of("push", "quarantined"), 1000.0);
    assert_eq!(metrics.value("batchtask_amqp_accepted_total"), 2000.0);
    assert_eq!(metrics.value("batchtask_amqp_refused_total"), 0.0);
    assert_eq!(broker.count("other").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_message_that_is_too_long_the_beginning_is_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let setup = receiving_only(folder.path(), &broker);
    let setup = setup.variable(("BATCHTASK_MAX_BODY_BYTES", "2048"));
    let host = setup.start();
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(600_000));
    broker.publish(&[long], "text").await;
    broker.publish(&bodies(0..10), "text").await;
    broker.counts("accepted", 11).await;
    let mut client = host.client();
    check_events(&mut client, 10).await;
    let rejects = client.read("/quarantine").await;
    let body = rejects["rejects"][0]["body"].as_str().unwrap();
    assert_eq!(body.len(), 2048);
    assert!(body.starts_with("{\"x\": \"yyy"));
    host.stop();
}

/// An inbox without a journal.
struct Nothing(Arc<AtomicUsize>);

impl Inbox for Nothing {
    async fn accept(&self, _: Bytes) -> Verdict {
        self.0.fetch_add(1, Relaxed);
        Verdict::Stored
    }
}

fn options(rabbit: &Rabbit) -> (Options, Credentials) {
    let mut options = Options::new(rabbit.url().parse().expect("a URL"));
    options.authorities = Some(std::fs::read(&rabbit.certificates.ca).expect("a file"));
    options.queues = vec![QUEUE.into()];
    let credentials = Credentials {
        access_key: ACCESS_KEY.into(),
        access_codes: vec![ACCESS_CODE.into()],
    };
    (options, credentials)
}

async fn fill(rabbit: &Rabbit, numbers: std::ops::Range<u64>) {
    let (options, credentials) = options(rabbit);
    let publisher = Publisher::open(&options, credentials).await;
    let publisher = Arc::new(publisher.expect("the broker works"));
    let next = Arc::new(std::sync::atomic::AtomicU64::new(numbers.start));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (publisher, next, end) = (publisher.clone(), next.clone(), numbers.end);
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= end {
                    return;
                }
                let body = Notification::numbered(number).body();
                publisher
                    .publish(body.into())
                    .await
                    .expect("it is accepted");
            }
        });
    }
    senders.join_all().await;
}

/// The messages a second of a client without a journal.
async fn rate_without_journal(rabbit: &Rabbit, count: usize) -> f64 {
    let received = Arc::<AtomicUsize>::default();
    let (options, credentials) = options(rabbit);
    let metrics = Metrics::new().expect("metrics");
    let client = Client::new(options, credentials, Nothing(received.clone()), metrics);
    let client = client.expect("valid options");
    let stop = CancellationToken::new();
    let ended = stop.clone();
    let running = tokio::spawn(async move { client.run(ended).await });
    let rate = rate(count, async || received.load(Relaxed)).await;
    stop.cancel();
    running.await.expect("no panic");
    rate
}

/// The messages a second from the first twentieth to the last one.
async fn rate(count: usize, mut received: impl AsyncFnMut() -> usize) -> f64 {
    let mut start = None;
    loop {
        let now = received().await;
        if start.is_none() && now >= count / 20 {
            start = Some((now, Instant::now()));
        }
        if let Some((first, since)) = start
            && now >= count
        {
            return (now - first) as f64 / since.elapsed().as_secs_f64();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn accepted(host: &Host) -> usize {
    host.metrics().await.value("batchtask_amqp_accepted_total") as usize
}

/// Pushes 100 a second until `end`, and returns the p99 of the answers.
async fn p99_of_pushes(mut client: HttpClient, end: CancellationToken) -> Duration {
    let mut times = Vec::new();
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    let mut number = 1_000_000_000;
    while !end.is_cancelled() {
        clock.tick().await;
        number += 1;
        let body = Notification::numbered(number).body();
        let started = Instant::now();
        assert_eq!(client.post(body).await.status, 200);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; takes minutes"]
async fn a_backlog_is_received_fast_and_delays_no_push() {
    let folder = tempfile::tempdir().unwrap();
    let Some(rabbit) = Rabbit::start(folder.path()).await else {
        return;
    };
    let count = scale("BATCHTASK_TEST_AMQP_BACKLOG", 20_000);
    let runs = scale("BATCHTASK_TEST_AMQP_RUNS", 1);
    let messages = scale("BATCHTASK_TEST_AMQP_MESSAGES", 1024).to_string();
    for run in 0..runs {
        let numbers = (run * count) as u64..((run + 1) * count) as u64;
        fill(&rabbit, numbers.clone()).await;
        let without = rate_without_journal(&rabbit, count).await;
        fill(&rabbit, numbers).await;
        let journal = folder.path().join(format!("{run}.db"));
        let setup = Setup::on_journal(journal).with_admin();
        let alone = setup.start();
        let end = CancellationToken::new();
        let pushes = tokio::spawn(p99_of_pushes(alone.client(), end.clone()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        end.cancel();
        let p99_alone = pushes.await.unwrap();
        alone.stop();
        let setup = receiving(setup, &rabbit.url(), &rabbit.certificates.ca)
            .variable(("BATCHTASK_AMQP_QUEUES", QUEUE))
            .variable(("BATCHTASK_AMQP_MESSAGES", &messages));
        let host = setup.start();
        let end = CancellationToken::new();
        let pushes = tokio::spawn(p99_of_pushes(host.client(), end.clone()));
        let with = rate(count, async || accepted(&host).await).await;
        end.cancel();
        let p99 = pushes.await.unwrap();
        let peak_mib = host.peak_kib() >> 10;
        eprintln!(
            "run {run}: {count} messages; without a journal {without:.0}/s, with {with:.0}/s \
             ({:.2}); p99 of pushes {p99_alone:?} alone, {p99:?} beside; peak {peak_mib} MiB",
            with / without
        );
        eventually("the queue is empty", async || {
            (rabbit.depth() == 0).then_some(())
        })
        .await;
        let recorded = host
            .metrics()
            .await
            .value("batchtask_journal_recorded_total");
        assert!(recorded >= count as f64, "{recorded}");
        host.stop();
    }
}
