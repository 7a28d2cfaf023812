//! Every message is stored before it is accepted, whatever its body is.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::brokers::rhea::Rhea;
use crate::brokers::{ACCESS_CODE, eventually};
use crate::support::{NEVER, Running, bodies, options};

macro_rules! broker {
    ($broker:ident, $folder:ident) => {
        let $folder = tempfile::tempdir().unwrap();
        let Some(mut $broker) = Rhea::start($folder.path()).await else {
            return;
        };
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_and_bytes_are_stored_and_accepted() {
    broker!(broker, folder);
    let client = Running::start(options(&broker.url(), &broker.certificates.ca));
    let mut all = 0;
    for kind in ["text", "data", "sections"] {
        let sent = bodies(kind, 300);
        all += sent.len();
        broker.publish(&sent, kind).await;
        client.store.reaches(all).await;
        for body in &sent {
            assert_eq!(client.store.has(body.as_bytes()), 1, "{kind}: {body}");
        }
    }
    broker.counts("accepted", all as u64).await;
    let state = broker.state().await;
    assert_eq!(
        (&state["other"], &state["ready"]),
        (&0.into(), &0.into()),
        "{state}"
    );
    assert_eq!(client.metric("deliveries_total", ""), all as f64);
    assert_eq!(client.metric("accepted_total", ""), all as f64);
    assert_eq!(client.metric("unsettled", ""), 0.0);
    assert_eq!(client.metric("connected", ""), 1.0);
    assert!(client.metric("credit", "") > 0.0);
    assert!(client.metric("last_delivery_timestamp_seconds", "") > 1.7e9);
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_text_and_what_can_never_be_stored_blocks_nothing() {
    broker!(broker, folder);
    let client = Running::start(options(&broker.url(), &broker.certificates.ca));
    for kind in ["number", "map", "list", "empty", "broken", "text"] {
        broker
            .publish(&[format!("a {kind}"), NEVER.into()], kind)
            .await;
    }
    broker.publish(&bodies("good", 10), "text").await;
    broker.counts("accepted", 22).await;
    assert_eq!(client.store.has(b"a text"), 1);
    // It has no body: null.
    assert_eq!(client.store.has(b"@"), 2);
    let note = b"an AMQP message that cannot be decoded";
    assert_eq!(client.store.starting_with(note), 2);
    assert_eq!(client.store.len(), 21);
    assert_eq!(client.metric("refused_total", ""), 1.0);
    assert_eq!(broker.count("other").await, 0);
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_can_be_stored_nothing_is_accepted_or_lost_and_memory_is_bounded() {
    broker!(broker, folder);
    let mut limited = options(&broker.url(), &broker.certificates.ca);
    limited.messages = 50;
    let client = Running::start(limited);
    client.is_well().await;
    client.store.is_full.store(true, SeqCst);
    broker.publish(&bodies("kept", 500), "text").await;
    broker.counts("unsettled", 50).await;
    eventually("each is tried again", async || {
        (client.metric("retries_total", "") > 100.0).then_some(())
    })
    .await;
    let state = broker.state().await;
    assert_eq!(state["accepted"], 0, "{state}");
    assert_eq!(
        (&state["unsettled"], &state["ready"]),
        (&50.into(), &450.into())
    );
    assert_eq!(client.metric("unsettled", ""), 50.0);
    assert_eq!(client.metric("credit", ""), 0.0);
    client.store.is_full.store(false, SeqCst);
    broker.counts("accepted", 500).await;
    assert_eq!((client.store.len(), client.store.distinct()), (500, 500));
    assert_eq!(broker.count("logins").await, 1, "it stayed connected");
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_are_bounded_in_bytes() {
    const LONG: usize = 500_000;
    broker!(broker, folder);
    let mut limited = options(&broker.url(), &broker.certificates.ca);
    limited.memory_bytes = 8 << 20;
    let client = Running::start(limited);
    client.is_well().await;
    client.store.is_full.store(true, SeqCst);
    let sent: Vec<String> = (0..60)
        .map(|number| format!("{number} {}", "x".repeat(LONG)))
        .collect();
    // One after another, as the platform pushes: it learns how long they are.
    for body in &sent {
        broker.publish(std::slice::from_ref(body), "text").await;
    }
    let mut peak = 0.0;
    let mut steady = 0;
    while steady < 20 {
        let bytes = client.metric("unsettled_bytes", "");
        steady = if bytes > 0.0 && bytes <= peak {
            steady + 1
        } else {
            0
        };
        peak = bytes.max(peak);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(peak <= (8 << 20) as f64 + 4.0 * LONG as f64, "{peak}");
    client.store.is_full.store(false, SeqCst);
    broker.counts("accepted", 60).await;
    assert_eq!(client.store.distinct(), 60);
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_accepts_what_is_being_stored_and_leaves_the_rest() {
    broker!(broker, folder);
    let mut limited = options(&broker.url(), &broker.certificates.ca);
    limited.messages = 40;
    let client = Running::with(limited, &[ACCESS_CODE], Duration::from_millis(300));
    client.is_well().await;
    broker.publish(&bodies("stop", 200), "text").await;
    let attempts = client.store.clone();
    eventually("it is storing", async || {
        (attempts.attempts.load(SeqCst) >= 20).then_some(())
    })
    .await;
    let store = client.stop().await;
    broker.counts("connections", 0).await;
    let state = broker.state().await;
    assert!(store.len() >= 20, "{}", store.len());
    assert_eq!(state["accepted"], store.len(), "{state}");
    assert_eq!(state["ready"], 200 - store.len(), "{state}");
    // The next one gets the rest.
    let next = Running::start(options(&broker.url(), &broker.certificates.ca));
    broker.counts("accepted", 200).await;
    assert_eq!(next.store.len() + store.len(), 200);
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_connections_are_cut() {
    const CUTS: usize = 20;
    broker!(broker, folder);
    let client = Running::with(
        options(&broker.url(), &broker.certificates.ca),
        &[ACCESS_CODE],
        Duration::from_millis(20),
    );
    for cut in 0..CUTS {
        client.is("connected", |state| state.is_connected).await;
        let before = client.store.len();
        broker
            .publish(&bodies(&format!("cut {cut}"), 100), "text")
            .await;
        let store = client.store.clone();
        eventually("some are stored", async || {
            (store.len() > before).then_some(())
        })
        .await;
        broker.cut().await;
        client.is("cut off", |state| !state.is_connected).await;
    }
    client.store.reaches(CUTS * 100).await;
    broker.counts("ready", 0).await;
    broker.counts("unsettled", 0).await;
    assert_eq!(client.store.distinct(), CUTS * 100);
    assert!(client.metric("redelivered_total", "") > 0.0);
    assert_eq!(client.metric("failures_total", "lost"), CUTS as f64);
    assert_eq!(broker.count("other").await, 0);
    client.stop().await;
}
