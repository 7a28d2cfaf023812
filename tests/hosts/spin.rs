//! A host with exactly Spin's imports, whose store may fail or be slow.

mod host;
mod store;

use std::collections::BTreeSet;
use std::time::Instant;

use batchtask_notification::Notification as Parsed;
use serde_json::Value;
use tokio::task::JoinSet;

use self::host::Spin;
use self::store::{Faults, Store};
use super::manifest::Manifest;
use super::suite::{self, Journal, Refuses, TOKEN, column};
use crate::support::client::Client;
use crate::support::notifications::{BASE_MS, Notification};
use crate::support::random::Random;

/// Starts a host with this store and the component that `spin.toml` names.
async fn spin(store: &Store) -> Spin {
    Spin::start(&Manifest::read("spin.toml").component(), store, &[]).await
}

#[tokio::test]
async fn spin_conforms() {
    let store = Store::named("default");
    let spin = spin(&store).await;
    suite::conforms(&mut spin.client(), Journal::Keeps, Refuses::Heads).await;
}

#[tokio::test]
async fn a_signature_admits_one_notification() {
    let store = Store::named("default");
    let component = Manifest::read("spin.toml").component();
    let variables = [
        ("batchtask_signature", "enforce"),
        ("batchtask_token", TOKEN),
    ];
    let spin = Spin::start(&component, &store, &variables).await;
    suite::admits_a_signature_once(&mut spin.client()).await;
}

#[tokio::test]
async fn a_failed_write_is_a_503() {
    let store = Store::named("default");
    let spin = spin(&store).await;
    store.set_faults(Faults::EVERY_WRITE);
    suite::is_unavailable(&mut spin.client()).await;
    store.set_faults(Faults::EVERY_READ);
    suite::is_unavailable(&mut spin.client()).await;
    store.set_faults(Faults::NONE);
    suite::conforms(&mut spin.client(), Journal::Keeps, Refuses::Heads).await;
}

#[tokio::test]
async fn a_bucket_that_is_not_granted_is_a_503() {
    let store = Store::named("other");
    let spin = spin(&store).await;
    let why = "add the store to the component's `key_value_stores`";
    let sender = suite::is_unavailable(&mut spin.client()).await;
    assert!(!sender.text().contains(why));
    let reader = spin.client().get("/tasks").await;
    reader.expect(503, "journal-unavailable");
    assert!(reader.text().contains(why), "{}", reader.text());
}

#[tokio::test]
async fn the_bucket_is_a_setting() {
    let store = Store::named("other");
    let component = Manifest::read("spin.toml").component();
    let spin = Spin::start(&component, &store, &[("batchtask_bucket", "other")]).await;
    suite::conforms(&mut spin.client(), Journal::Keeps, Refuses::Heads).await;
}

/// If errors of the provider of variables were ignored, they could disable a secret.
#[tokio::test]
async fn if_settings_cannot_be_read_all_requests_are_refused() {
    let store = Store::named("default");
    let component = Manifest::read("spin.toml").component();
    let spin = Spin::start(
        &component,
        &store,
        &[("batchtask_path_secret", host::UNREADABLE)],
    )
    .await;
    let answer = spin.client().post(Notification::numbered(1).body()).await;
    answer.expect(500, "misconfigured");
    assert!(store.is_empty());
}

/// Without its provider, no variable can be read. The answer must not list all settings.
#[tokio::test]
async fn if_no_setting_can_be_read_one_sentence_says_so() {
    let store = Store::named("default");
    let component = Manifest::read("spin.toml").component();
    let spin = Spin::start(
        &component,
        &store,
        &[("batchtask_bucket", host::UNREADABLE)],
    )
    .await;
    let answer = spin.client().post(Notification::numbered(1).body()).await;
    answer.expect(500, "misconfigured");
    let detail = "Spin's variables cannot be read: the vault is sealed";
    assert_eq!(answer.json()["detail"], detail);
}

/// There is no answer before the write has returned.
#[tokio::test]
async fn an_answer_waits_for_a_slow_write() {
    let store = Store::named("default");
    let spin = spin(&store).await;
    let gate = store.hold_writes();
    let mut client = spin.client();
    let body = Notification::numbered(1).body();
    let answer = client.post(&body);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        () = store.write_is_held() => {}
        answer = &mut answer => panic!("answered before the write: {}", answer.text()),
    }
    assert!(store.is_empty());
    drop(gate);
    answer.await.expect(200, "recorded");
    assert!(!store.is_empty());
}

/// Every acknowledged event is stored once, and the task matches its events, with
/// concurrent writers and failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_writers_of_one_task_do_not_disturb_one_another() {
    const WRITERS: u64 = 64;
    let store = Store::named("default");
    let spin = spin(&store).await;
    store.set_faults(Faults::SOME);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let mut client = spin.client();
        writers.spawn(async move {
            let mut random = Random::new(writer);
            let change = Notification {
                app_id: "app".into(),
                task_id: "contended".into(),
                status: (*random.one_of(&["Waitting", "Processing", "Fail", "Odd"])).into(),
                at_ms: BASE_MS + random.below(8) as u64 * 1000,
                ..Notification::numbered(writer)
            };
            let refused = post_until_acknowledged(&mut client, &change.body()).await;
            (change.body(), refused)
        });
    }
    let written = writers.join_all().await;
    let refused: usize = written.iter().map(|(_, refused)| refused).sum();
    assert!(refused > 0, "some writes failed");
    store.set_faults(Faults::NONE);

    let events = written.iter().map(|(body, _)| {
        let parsed = Parsed::parse(body.as_bytes()).expect("a notification");
        let event = parsed.into_event(u64::MAX);
        (event.key(), event.status, event.status_desc)
    });
    let expected: BTreeSet<_> = events.collect();
    let mut client = spin.client();
    let history = client.read("/tasks/app/contended/events?limit=500").await;
    let descriptions: Vec<_> = expected.iter().map(|event| event.2.clone()).collect();
    assert_eq!(
        column(&history["events"], "status_desc"),
        Value::from(descriptions)
    );
    let task = client.read("/tasks/app/contended").await;
    let (_, status, description) = expected.last().expect("events");
    assert_eq!(task["status"], *status);
    assert_eq!(task["status_desc"], *description);
    assert_eq!(task["events"], WRITERS);
    let list = client.read("/tasks").await;
    for member in ["status", "status_desc", "events", "first_occurred_at"] {
        assert_eq!(
            column(&list["tasks"], member),
            Value::from(vec![task[member].clone()])
        );
    }
}

/// Posts until the answer is 200. Returns how many answers were 503 before.
async fn post_until_acknowledged(client: &mut Client, body: &str) -> usize {
    let mut refused = 0;
    loop {
        let answer = client.post(body).await;
        if answer.status == 200 {
            return refused;
        }
        answer.expect(503, "journal-unavailable");
        refused += 1;
    }
}

#[tokio::test]
async fn a_list_of_tasks_has_pages() {
    let store = Store::named("default");
    let spin = spin(&store).await;
    let mut client = spin.client();
    for serial in 0..60 {
        client
            .post(Notification::numbered(serial).body())
            .await
            .expect(200, "recorded");
    }
    let (mut seen, mut target) = (Vec::new(), "/tasks?limit=7".to_owned());
    loop {
        let page = client.read(&target).await;
        seen.extend(
            column(&page["tasks"], "task_id")
                .as_array()
                .expect("a list")
                .clone(),
        );
        match page["next"].as_str() {
            Some(cursor) => target = format!("/tasks?limit=7&cursor={cursor}"),
            None => break,
        }
    }
    // There are 50 tasks, and the first ten changed last.
    let newest_first = (0..10).rev().chain((10..50).rev());
    let expected: Vec<Value> = newest_first
        .map(|task| format!("task-{task}").into())
        .collect();
    assert_eq!(seen, expected);
    client
        .get("/tasks?cursor=nonsense")
        .await
        .expect(400, "bad-parameter");
}

/// Prints how long reads take with many keys, for the README.
#[tokio::test]
#[ignore = "a benchmark"]
async fn reads_over_many_keys() {
    for keys in [1_000, 10_000, 100_000, 250_000] {
        let store = Store::named("default");
        let spin = spin(&store).await;
        let mut client = spin.client();
        let body = Notification::numbered(0).body();
        client.post(body).await.expect(200, "recorded");
        store.multiply(keys);
        for target in ["/tasks?limit=50", "/tasks/app/task-0"] {
            let start = Instant::now();
            let answer = client.get(target).await;
            eprintln!(
                "{keys} keys, {target}: {} in {:?}",
                answer.status,
                start.elapsed()
            );
        }
        let start = Instant::now();
        let body = Notification::numbered(1).body();
        client.post(body).await.expect(200, "recorded");
        eprintln!("{keys} keys, a notification: {:?}", start.elapsed());
    }
}
