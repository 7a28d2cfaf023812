//! Tasks and histories do not depend on order and repetition.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::client::Client;
use crate::support::host::{Host, QUIET, Setup};
use crate::support::ledger::{all_pages, all_tasks};
use crate::support::notifications::{BASE_MS, Notification};
use crate::support::random::Random;
use crate::support::scale;

/// The number of different events.
const EVENTS: usize = if cfg!(debug_assertions) {
    10_000
} else {
    100_000
};

const TASKS: usize = 500;

/// How many percent of the events are sent twice.
const DUPLICATES_PERCENT: usize = 30;

const CONNECTIONS: usize = 32;

/// How much memory the host may have used at the end.
const RESIDENT_KIB_MAX: u64 = 96 << 10;

/// The members that may depend on the arrival.
const ARRIVAL: [&str; 3] = ["received_at", "last_received_at", "seq"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shuffled_and_repeated_events_make_the_same_tasks_and_histories() {
    let events = scale("BATCHTASK_TEST_EVENTS", EVENTS);
    let mut random = Random::new(1);
    let numbers = 0..events as u64;
    let mut bodies: Vec<_> = numbers
        .map(|serial| Notification::random(serial, TASKS, &mut random).body())
        .collect();
    bodies.extend_from_within(..events * DUPLICATES_PERCENT / 100);
    let (first_host, second_host) = (Fresh::start(), Fresh::start());
    let first = arrive(&first_host.host, bodies.clone(), 2).await;
    let second = arrive(&second_host.host, bodies, 3).await;
    assert_eq!(first.len(), second.len());
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first, second, "byte for byte");
    }
}

/// A host with a new journal.
struct Fresh {
    host: Host,
    _folder: tempfile::TempDir,
}

impl Fresh {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            host: Setup::in_folder(folder.path()).variable(QUIET).start(),
            _folder: folder,
        }
    }
}

/// Posts all bodies in random order. Returns all tasks, and then the history of each.
async fn arrive(host: &Host, mut bodies: Vec<String>, seed: u64) -> Vec<String> {
    let started = Instant::now();
    Random::new(seed).shuffle(&mut bodies);
    let (requests, distinct) = (
        bodies.len(),
        bodies.len() * 100 / (100 + DUPLICATES_PERCENT),
    );
    let (recorded, duplicates) = post_all(host.address(), bodies).await;
    let took = started.elapsed().as_secs_f64();
    assert_eq!(recorded + duplicates, requests);
    assert_eq!(recorded, distinct);

    let mut client = host.client();
    let tasks = all_tasks(&mut client).await;
    let mut seen = vec![tasks.iter().map(without_arrival).collect::<String>()];
    let mut counted = 0;
    for task in &tasks {
        let target = format!("{}/events?limit=100", path(task));
        let history = all_pages(&mut client, &target, "events").await;
        check_task(task, &history);
        counted += history.len();
        seen.push(history.iter().map(without_arrival).collect());
    }
    assert_eq!(counted, distinct, "histories are complete");
    let peak_kib = host.peak_kib();
    eprintln!(
        "{requests} requests in {took:.1} s, {:.1} s with all reads; {} tasks, {peak_kib} KiB resident",
        started.elapsed().as_secs_f64(),
        tasks.len(),
    );
    assert!(peak_kib < RESIDENT_KIB_MAX, "{peak_kib} KiB");
    seen
}

fn path(task: &Value) -> String {
    let id = |member: &str| task[member].as_str().unwrap();
    format!("/tasks/{}/{}", id("app_id"), id("task_id"))
}

/// Posts all bodies. Returns how many were recorded, and how many were duplicates.
async fn post_all(address: SocketAddr, bodies: Vec<String>) -> (usize, usize) {
    let bodies = Arc::new(bodies);
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (bodies, next) = (bodies.clone(), next.clone());
        connections.spawn(async move {
            let mut client = Client::new(address);
            let mut outcomes: HashMap<String, usize> = HashMap::new();
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let answer = client.post(body).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                match outcomes.entry(answer.outcome()) {
                    Entry::Occupied(mut count) => *count.get_mut() += 1,
                    Entry::Vacant(first) => *first.insert(0) += 1,
                }
            }
            outcomes
        });
    }
    let all = connections.join_all().await;
    let count = |outcome| {
        all.iter()
            .filter_map(|outcomes| outcomes.get(outcome))
            .sum()
    };
    (count("recorded"), count("duplicate"))
}

/// Returns an item as a line, without the members that depend on the arrival.
fn without_arrival(item: &Value) -> String {
    let mut item = item.clone();
    for member in ARRIVAL {
        item.as_object_mut().unwrap().remove(member);
    }
    let flags = item["flags"].as_array_mut().unwrap();
    flags.retain(|flag| flag != "late");
    item.to_string() + "\n"
}

/// The place of an event in the order of its task's changes.
fn key(event: &Value) -> (&str, u8, &str) {
    let text = |member: &str| event[member].as_str().unwrap();
    let rank = match text("status") {
        "Initializing" => 0,
        "Waitting" => 1,
        "Stopping" => 3,
        "PartialSuccess" | "Fail" => 4,
        "Success" | "Stopped" => 5,
        _ => 2,
    };
    (text("occurred_at"), rank, text("digest"))
}

/// Checks that the history is in order, and that the task matches its greatest event.
fn check_task(task: &Value, history: &[Value]) {
    assert!(history.is_sorted_by_key(key));
    let (first, last) = (&history[0], &history[history.len() - 1]);
    for member in ["status", "status_desc", "task_type", "occurred_at"] {
        assert_eq!(task[member], last[member], "{task}");
    }
    assert_eq!(task["first_occurred_at"], first["occurred_at"]);
    assert_eq!(task["events"], history.len());
    let duplicates = history.iter().filter_map(|e| e["duplicates"].as_u64());
    assert_eq!(task["duplicates"], duplicates.sum::<u64>());
}

/// A change of the task `task`.
fn change(status: &str, second: u64) -> Notification {
    Notification {
        status: status.into(),
        status_desc: format!("{status} at {second}"),
        at_ms: BASE_MS + second * 1000,
        request_id: Some(format!("request {second}")),
        app_id: "app".into(),
        task_id: "task".into(),
        task_type: "firmwareUpgrade".into(),
    }
}

async fn task_after(changes: &[Notification]) -> (Value, Vec<Value>) {
    let fresh = Fresh::start();
    let mut client = fresh.host.client();
    for change in changes {
        client.post(change.body()).await.expect(200, "recorded");
    }
    let task = client.read("/tasks/app/task").await;
    let history = all_pages(&mut client, "/tasks/app/task/events?limit=2", "events").await;
    check_task(&task, &history);
    (task, history)
}

#[tokio::test]
async fn a_late_event_goes_to_the_history_and_changes_nothing_else() {
    let changes = [
        change("Waitting", 0),
        change("Success", 20),
        change("Processing", 10),
    ];
    let (task, history) = task_after(&changes).await;
    assert_eq!(task["status"], "Success");
    assert_eq!(task["class"], "final");
    assert_eq!(task["flags"], json!([]), "no step is missing");
    let flags: Vec<_> = history.iter().map(|event| &event["flags"]).collect();
    assert_eq!(flags, [&json!([]), &json!(["late"]), &json!([])]);
    let sequence: Vec<_> = history.iter().map(|event| &event["seq"]).collect();
    assert_eq!(sequence, [1, 3, 2]);
}

#[tokio::test]
async fn changes_of_one_instant_are_ordered_by_the_life_of_a_task() {
    let changes = ["Success", "Waitting", "Processing"].map(|status| change(status, 0));
    let (task, history) = task_after(&changes).await;
    assert_eq!(task["status"], "Success");
    let statuses: Vec<_> = history.iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses, ["Waitting", "Processing", "Success"]);
}

#[tokio::test]
async fn a_task_has_a_class_and_flags_for_its_steps() {
    for (statuses, class, flags) in [
        (["Waitting", "Processing", "Processing"], "open", json!([])),
        (["Waitting", "Processing", "Success"], "final", json!([])),
        (
            ["Waitting", "Processing", "PartialSuccess"],
            "retryable",
            json!([]),
        ),
        (["Waitting", "Waitting", "Success"], "final", json!(["gap"])),
        (
            ["Processing", "Fail", "Processing"],
            "open",
            json!(["reopened"]),
        ),
        (
            ["Processing", "Success", "Processing"],
            "open",
            json!(["unexpected_step"]),
        ),
        (["Processing", "Stopping", "Stopped"], "final", json!([])),
    ] {
        let changes: Vec<_> = (0..).zip(statuses).map(|(at, s)| change(s, at)).collect();
        let (task, _) = task_after(&changes).await;
        assert_eq!(task["class"], class, "{statuses:?}");
        assert_eq!(task["flags"], flags, "{statuses:?}");
    }
}

/// A reader of the feed that is up to date is answered when there is a new event, or
/// when its wait has passed.
#[tokio::test]
async fn a_reader_of_the_feed_may_wait_for_the_next_event() {
    let fresh = Fresh::start();
    let mut reader = fresh.host.client();
    let nothing = reader.read("/events?after=0&wait=1").await;
    assert_eq!(
        (&nothing["events"], &nothing["last_seq"]),
        (&json!([]), &json!(0))
    );
    let longest = reader.get("/events?after=0&wait=5");
    let post = async {
        let mut client = fresh.host.client();
        client
            .post(change("Fail", 0).body())
            .await
            .expect(200, "recorded");
        let up_to_date = client.get("/events?after=1&wait=5").await;
        assert_eq!(up_to_date.status, 200, "{}", up_to_date.text());
    };
    let (news, ()) = tokio::join!(longest, post);
    assert_eq!(news.json()["events"][0]["status"], "Fail");
}

#[tokio::test]
async fn request_ids_of_all_pushes_are_kept_and_at_most_sixteen_shown() {
    let fresh = Fresh::start();
    let mut client = fresh.host.client();
    for push in 0..20 {
        let notification = Notification {
            request_id: Some(format!("request-{push:02}")),
            ..change("Fail", 0)
        };
        let outcome = if push == 0 { "recorded" } else { "duplicate" };
        client.post(notification.body()).await.expect(200, outcome);
    }
    let task = client.read("/tasks/app/task").await;
    assert_eq!(
        (&task["events"], &task["duplicates"]),
        (&json!(1), &json!(19))
    );
    let ids = task["request_ids"].as_array().unwrap();
    assert_eq!(ids.len(), 16);
    assert!(ids.is_sorted_by_key(|id| id.as_str().unwrap()));
}

#[tokio::test]
async fn tasks_are_found_by_filters() {
    let fresh = Fresh::start();
    let mut client = fresh.host.client();
    let tasks = [
        ("a", "one", "softwareUpgrade", "Success"),
        ("a", "two", "firmwareUpgrade", "Fail"),
        ("b", "one", "firmwareUpgrade", "Processing"),
    ];
    for (second, (app_id, task_id, task_type, status)) in (0..).zip(tasks) {
        let notification = Notification {
            app_id: app_id.into(),
            task_id: task_id.into(),
            task_type: task_type.into(),
            ..change(status, second)
        };
        client
            .post(notification.body())
            .await
            .expect(200, "recorded");
    }
    let expected: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("", ["b/one", "a/two", "a/one"].as_slice()),
        ("order=oldest", &["a/one", "a/two", "b/one"]),
        ("status=Fail", &["a/two"]),
        ("status=fail", &[]),
        ("class=final", &["a/one"]),
        ("class=open", &["b/one"]),
        ("app_id=a", &["a/two", "a/one"]),
        ("task_type=firmwareUpgrade&app_id=a", &["a/two"]),
        ("q=ONE", &["b/one", "a/one"]),
        ("q=Processing%20at", &["b/one"]),
        ("since=2026-01-31T12:00:01.000Z", &["b/one", "a/two"]),
        ("until=2026-01-31T12:00:01.000Z", &["a/one"]),
    ]);
    for (query, names) in expected {
        for limit in [1, 50] {
            let target = format!("/tasks?limit={limit}&{query}");
            let found = all_pages(&mut client, target.trim_end_matches('&'), "tasks").await;
            let found: Vec<_> = found.iter().map(path).collect();
            let names: Vec<_> = names.iter().map(|name| format!("/tasks/{name}")).collect();
            assert_eq!(found, names, "{target}");
        }
    }
}
