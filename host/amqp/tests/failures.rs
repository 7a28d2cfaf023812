//! Each failure has its own words and its own metric, and ends by itself.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::brokers::certificates::{Certificates, authority};
use crate::brokers::rhea::{QUEUE, Rhea};
use crate::brokers::{ACCESS_CODE, eventually, free_port};
use crate::support::{Running, bodies, options};

/// How long a failure is watched.
const WATCHED: Duration = Duration::from_secs(3);

/// The greatest number of attempts meanwhile: with waits up to 200, 400, 800 and
/// 1000 ms, whose mean is half of that. Each has at most two logins.
const ATTEMPTS_MAX: f64 = 30.0;

/// Checks that a failure has these words and this metric, and causes no tight loop.
async fn watch(client: &Running, words: &str, reason: &str) {
    let state = client.has_problem(words).await;
    assert!(!state.is_connected, "{state:?}");
    assert_eq!(client.metric("connected", ""), 0.0);
    let before = client.metric("failures_total", reason);
    assert!(before >= 1.0, "{reason}");
    tokio::time::sleep(WATCHED).await;
    let attempts = client.metric("failures_total", reason) - before;
    assert!(
        (1.0..=ATTEMPTS_MAX).contains(&attempts),
        "{reason}: {attempts}"
    );
}

async fn recovers(client: &Running, broker: &mut Rhea) {
    client.is_well().await;
    broker.publish(&bodies("after", 10), "text").await;
    client.store.reaches(10).await;
    broker.counts("unsettled", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_access_code() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let options = options(&broker.url(), &broker.certificates.ca);
    let client = Running::with(options, &["wrong", "old"], Duration::ZERO);
    watch(&client, "refused the access key, its code", "credentials").await;
    let refused = broker.count("refused_logins").await;
    assert!(refused as f64 <= 4.0 * ATTEMPTS_MAX, "{refused}");
    client.use_codes(&["wrong", ACCESS_CODE]);
    recovers(&client, &mut broker).await;
    assert_eq!(broker.state().await["codes"], json!([ACCESS_CODE]));
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_ten_minutes_off() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    for (skew_ms, words) in [
        (600_000, "10 minutes behind"),
        (-590_000, "10 minutes ahead of"),
    ] {
        broker.rules(json!({ "skew_ms": skew_ms })).await;
        let client = Running::start(options(&broker.url(), &broker.certificates.ca));
        let state = client.has_problem(words).await;
        assert!(state.is_connected, "{state:?}");
        assert_eq!(client.metric("failures_total", "clock"), 1.0);
        // It receives nevertheless, and the problem ends when the clock is right.
        broker.publish(&bodies(words, 10), "text").await;
        client.store.reaches(10).await;
        broker.rules(json!({ "skew_ms": 0 })).await;
        broker.cut().await;
        client.is_well().await;
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    broker.rules(json!({ "queues": ["another"] })).await;
    let client = Running::start(options(&broker.url(), &broker.certificates.ca));
    let words = "refused the queue `DefaultQueue`: check `amqp.queues` (there is no queue";
    watch(&client, words, "queue").await;
    broker.rules(json!({ "queues": [QUEUE] })).await;
    recovers(&client, &mut broker).await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_queue_of_two_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let mut both = options(&broker.url(), &broker.certificates.ca);
    both.queues = vec!["misspelt".into(), QUEUE.into()];
    let client = Running::start(both);
    let state = client.has_problem("refused the queue `misspelt`").await;
    assert!(state.is_connected, "{state:?}");
    broker.publish(&bodies("other", 100), "text").await;
    client.store.reaches(100).await;
    broker.rules(json!({ "queues": ["misspelt", QUEUE] })).await;
    client.is_well().await;
    assert_eq!(broker.count("logins").await, 1, "it stayed connected");
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_port_and_a_wrong_authority() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let trusted = Certificates::make(folder.path());
    let url = format!("amqps://127.0.0.1:{port}");
    let client = Running::start(options(&url, &trusted.ca));
    watch(&client, "no program listens at 127.0.0.1", "port_closed").await;
    let other = tempfile::tempdir().unwrap();
    let Some(stranger) = Rhea::start_with(Certificates::make(other.path()), port).await else {
        return;
    };
    watch(
        &client,
        "not from a trusted authority: set `amqp.ca`",
        "tls",
    )
    .await;
    stranger.end().await;
    let mut broker = Rhea::start_with(trusted, port)
        .await
        .expect("it is installed");
    recovers(&client, &mut broker).await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_host_and_another_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _) = authority();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let client = Running::start(options("amqps://iot.invalid", &ca));
    watch(
        &client,
        "the name iot.invalid has no address",
        "unknown_host",
    )
    .await;
    client.stop().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::Write;
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let client = Running::start(options(&format!("amqps://127.0.0.1:{port}"), &ca));
    watch(&client, "does not speak TLS", "tls").await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_and_an_idle_queue() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    let client = Running::start(options(&broker.url(), &broker.certificates.ca));
    client.is_well().await;
    // Longer than both sides wait for a sign of life.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(broker.count("logins").await, 1, "an idle connection stays");
    let pid = Pid::from_raw(broker.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    client.has_problem("sent nothing for too long").await;
    assert!(client.metric("failures_total", "silent") >= 1.0);
    kill_process(pid, Signal::CONT).unwrap();
    recovers(&client, &mut broker).await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_access_codes_of_a_rotation_work() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Rhea::start(folder.path()).await else {
        return;
    };
    broker.rules(json!({ "instance_id": "i-1" })).await;
    let mut options = options(&broker.url(), &broker.certificates.ca);
    options.instance_id = Some("i-1".into());
    let client = Running::with(options, &["new", ACCESS_CODE], Duration::ZERO);
    client.is_well().await;
    broker.rules(json!({ "access_codes": ["new"] })).await;
    broker.cut().await;
    recovers(&client, &mut broker).await;
    assert_eq!(broker.state().await["codes"], json!([ACCESS_CODE, "new"]));
    eventually("both were tried", async || {
        (broker.count("refused_logins").await >= 1).then_some(())
    })
    .await;
    client.stop().await;
}
