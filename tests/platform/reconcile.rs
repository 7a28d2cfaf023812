//! Changes that no push reported are found: by a running receiver, and by
//! `batchtask platform reconcile`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fake::{APP, Fault, SECRET_KEY};
use super::{World, contains, without_secrets};
use crate::openapi::description::Description;
use crate::shared::{self, server::Server};
use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::notifications::Notification;
use crate::support::program::Program;
use crate::support::random::Random;
use crate::support::{PATIENCE, scale};

/// How many calls a second the receiver of the long test may make.
const CALLS_PER_SECOND: usize = 10;

const TASKS: usize = 60;

impl World {
    /// A receiver without a certificate that searches, and asks often.
    fn searching(&self) -> Setup {
        self.setup()
            .keeping_all_lines()
            .variable(("BATCHTASK_PLATFORM_RECONCILE", "on"))
            .variable(("BATCHTASK_PLATFORM_RECHECK_S", "1"))
            .variable(("BATCHTASK_PLATFORM_SCAN_S", "2"))
    }

    /// Adds a task with two devices, and returns its id.
    fn add_task(&self, name: &str, status: &str) -> String {
        let task = json!({"app_id": APP, "task_name": name, "task_type": "softwareUpgrade",
            "targets": ["device_1", "device_2"],
            "task_policy": {"schedule_time": "20260131T120000Z", "retry_count": 3,
                "retry_interval": 5}});
        let mut state = self.fake.state();
        let now_ms = state.now_ms();
        let id = state.store.add_task(task.as_object().unwrap(), now_ms);
        state.store.set_status(&id, status, "");
        id
    }

    fn set_status(&self, id: &str, status: &str) {
        self.fake.state().store.set_status(id, status, "");
    }

    /// The status of each task on the platform.
    fn statuses(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let state = self.fake.state();
        let tasks = state.store.tasks.iter().map(|task| &task.value);
        tasks
            .map(|task| (text(&task["task_id"]), text(&task["status"])))
            .collect()
    }
}

/// The notification of a change, this many seconds ago.
fn notification(id: &str, status: &str, seconds_ago: u64) -> String {
    Notification {
        app_id: APP.into(),
        task_id: id.into(),
        task_type: "softwareUpgrade".into(),
        status: status.into(),
        status_desc: "as pushed".into(),
        at_ms: batchtask_host::clock::now_ms() - seconds_ago * 1000,
        request_id: None,
    }
    .body()
}

fn path(id: &str) -> String {
    format!("/tasks/{APP}/{id}")
}

/// Waits until a task is as it should be, and returns it.
async fn until(client: &mut Client, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            let answer = client.get(&path(id)).await;
            if answer.status == 200 && is_so(&answer.json()) {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, waiting).await;
    found.unwrap_or_else(|_| panic!("the task `{id}` never becomes so"))
}

/// The status of each task of a receiver.
async fn statuses(client: &mut Client) -> BTreeMap<String, String> {
    let page = client.read("/tasks?limit=500").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tasks = page["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| (text(&task["task_id"]), text(&task["status"])))
        .collect()
}

/// All events of a receiver.
async fn events(client: &mut Client) -> Vec<Value> {
    let feed = client.read("/events?limit=500").await;
    feed["events"].as_array().unwrap().clone()
}

/// Returns the pushes of all tasks: 30 % are lost, 5 % are repeated, and the others are
/// out of order. Their changes were up to an hour ago.
fn pushes(world: &World, random: &mut Random) -> (Vec<String>, Vec<String>) {
    let (mut sent, mut lost) = (Vec::new(), Vec::new());
    for number in 0..TASKS {
        let end = random.one_of(&["Success", "Fail", "Stopped", "PartialSuccess", "Processing"]);
        let id = world.add_task(&format!("task {number}"), end);
        for (place, status) in ["Waitting", "Processing", end].into_iter().enumerate() {
            let ago = 3600 - 1000 * place as u64 - random.below(500) as u64;
            let body = notification(&id, status, ago);
            match random.below(100) {
                0..30 => lost.push(body),
                30..35 => sent.extend([body.clone(), body]),
                _ => sent.push(body),
            }
        }
    }
    random.shuffle(&mut sent);
    (sent, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_ends_in_the_platforms_state_and_every_push_is_kept() {
    let world = World::with_scheme("http").await;
    let calls = CALLS_PER_SECOND.to_string();
    let host = world.start(
        world
            .searching()
            .with_admin()
            .variable(("BATCHTASK_PLATFORM_CALLS_PER_SECOND", &calls)),
    );
    world.run("setup --yes").expect(0);
    let (sent, lost) = pushes(&world, &mut Random::new(7));
    assert!(lost.len() > TASKS / 2, "{} lost", lost.len());
    world.fake.take_seen();
    for body in &sent {
        assert_eq!(world.fake.push(APP, body).await, [Ok(200)]);
    }
    let mut client = host.client();
    let wanted = world.statuses();
    let equal = async {
        while statuses(&mut client).await != wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let equal = tokio::time::timeout(PATIENCE, equal).await;
    assert!(equal.is_ok(), "{:?}", statuses(&mut client).await);

    // What was lost arrives after all, and changes no state.
    for body in &lost {
        assert_eq!(world.fake.push(APP, body).await, [Ok(200)]);
    }
    assert_eq!(statuses(&mut client).await, wanted);
    let all = events(&mut client).await;
    let (found, pushed): (Vec<_>, Vec<_>) =
        all.iter().partition(|event| event["source"] == "reconcile");
    let bodies: BTreeSet<&str> = pushed
        .iter()
        .map(|it| it["body"].as_str().unwrap())
        .collect();
    let expected: BTreeSet<&str> = sent.iter().chain(&lost).map(String::as_str).collect();
    assert_eq!(bodies, expected, "every push is kept as it was pushed");
    assert!(!found.is_empty());
    for event in &found {
        assert_eq!(event["flags"][0], "reconciled", "{event}");
        assert!(event["occurred_at"].as_str().unwrap().ends_with(".999Z"));
    }
    let metrics = host.metrics().await;
    let counted = metrics.value("batchtask_platform_reconciled_total")
        + metrics.value("batchtask_platform_adopted_total");
    assert_eq!(counted as usize, found.len());
    assert_eq!(metrics.value("batchtask_push_failures_in_a_row"), 0.0);
    check_budget(&world);
    host.stop();
}

/// The calls of every second stay within the budget. They may arrive a little later
/// than they were sent.
fn check_budget(world: &World) {
    let mut times: Vec<_> = world.fake.take_seen().iter().map(|seen| seen.at).collect();
    times.sort();
    assert!(!times.is_empty());
    for (place, at) in times.iter().enumerate() {
        let end = *at + Duration::from_secs(1);
        let count = times[place..].iter().take_while(|it| **it < end).count();
        assert!(count <= CALLS_PER_SECOND + 5, "{count} calls in a second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_progress_and_failed_devices_are_shown_everywhere() {
    let world = World::with_scheme("http").await;
    let host = world.start(world.searching());
    let mut client = host.client();
    let id = world.add_task("Upgrade <north>", "Processing");
    let task = until(&mut client, &id, |task| task["progress"]["total"] == 2).await;
    assert_eq!(task["flags"], json!(["reconciled"]), "it is adopted");
    let error = json!({"error_code": "OTA.0012", "error_msg": "not enough <space>"});
    world
        .fake
        .state()
        .store
        .set_device(&id, "device_2", "Fail", error);
    world
        .fake
        .state()
        .store
        .set_device(&id, "device_1", "Success", Value::Null);
    world.set_status(&id, "PartialSuccess");
    let task = until(&mut client, &id, |task| {
        task["failed_devices"][0].is_object()
    })
    .await;
    assert_eq!(task["name"], "Upgrade <north>");
    let policy = json!({"schedule_time": "20260131T120000Z", "retry_count": 3,
        "retry_interval": 5});
    assert_eq!(task["policy"], policy);
    assert_eq!(task["progress"]["success"], 1);
    let failed = json!([{"device": "device_2", "error_code": "OTA.0012",
        "error_msg": "not enough <space>"}]);
    assert_eq!(task["failed_devices"], failed);
    let description = Description::read();
    for (described, target) in [
        ("/tasks/{app_id}/{task_id}", path(&id)),
        ("/tasks", "/tasks".into()),
    ] {
        let mut operations = description.operations();
        let operation = operations.find(|it| it.path == described && it.method == "GET");
        operation.unwrap().expect(&client.get(&target).await);
    }

    let page = client.get(&format!("/page{}", path(&id))).await.text();
    contains(
        &page,
        &[
            "<span class='num'>2/2 devices done</span>",
            "<b>1</b> succeeded · <b>1</b> failed · ",
            "<dt>Name<dd><bdi>Upgrade &lt;north&gt;</bdi>",
            "<dt>Begin<dd><bdi>20260131T120000Z</bdi>",
            "<dt>Retries<dd><bdi>3</bdi></div><div><dt>Minutes between retries<dd><bdi>5</bdi>",
            "<tr><td><bdi>device_2</bdi><td><bdi>OTA.0012</bdi><td><bdi>not enough &lt;space&gt;</bdi>",
        ],
    );
    let list = client.get("/").await.text();
    contains(&list, &["2/2 devices done", "Upgrade &lt;north&gt;"]);

    let run = |line: &str| {
        let program = Program::new(line.split(' ')).at(host.address());
        without_secrets(program.run().expect(0)).stdout
    };
    contains(&run("tasks"), &["NAME", "Upgrade <north>", "2/2"]);
    contains(
        &run(&format!("task {APP} {id}")),
        &[
            "name          Upgrade <north>",
            "begin         20260131T120000Z, 3 retries after 5 min",
            "devices       2/2 done, 1 success, 1 fail (at ",
            "device_2       OTA.0012  not enough <space>",
        ],
    );
    let csv = run("export tasks --format csv");
    contains(
        &csv,
        &[
            "name,devices,devices_processing",
            ",Upgrade <north>,2,0,1,1,0,0,0,0,",
        ],
    );
    host.stop();
}

/// A late push that is older than what was found sorts before it. The next push sorts
/// after it.
#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_found_changes_have_the_order_of_their_times() {
    let world = World::with_scheme("http").await;
    let setup = world.searching().with_admin();
    let host = world.start(setup.variable(("BATCHTASK_PLATFORM_SCAN_S", "3600")));
    let mut client = host.client();
    world.run("setup --yes").expect(0);
    // The resource spaces, and five lists: the only scan.
    let calls = "batchtask_platform_calls_total{result=\"ok\"}";
    host.counts(|metrics| metrics.value(calls) >= 6.0).await;
    let id = world.add_task("task", "Processing");
    let push = async |body: String| assert_eq!(world.fake.push(APP, &body).await, [Ok(200)]);
    push(notification(&id, "Processing", 600)).await;
    world.set_status(&id, "Fail");
    until(&mut client, &id, |task| task["status"] == "Fail").await;
    push(notification(&id, "Stopping", 300)).await;
    let task = client.read(&path(&id)).await;
    assert_eq!(
        (&task["status"], &task["events"]),
        (&json!("Fail"), &json!(3))
    );
    world.set_status(&id, "Processing");
    push(notification(&id, "Processing", 0)).await;
    let history = client.read(&format!("{}/events", path(&id))).await;
    let steps: Vec<String> = history["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| format!("{} {}", event["source"], event["status"]).replace('"', ""))
        .collect();
    assert_eq!(
        steps,
        [
            "push Processing",
            "push Stopping",
            "reconcile Fail",
            "push Processing"
        ]
    );
    host.stop();
}

/// A failure is logged once, and the search goes on.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_one_line_and_the_search_goes_on() {
    let world = World::with_scheme("http").await;
    world.add_task("task", "Processing");
    let host = world.start(world.searching().with_admin());
    let succeeded = async |more: f64| {
        let name = "batchtask_platform_calls_total{result=\"ok\"}";
        let before = host.metrics().await.value(name);
        host.counts(|metrics| metrics.value(name) >= before + more)
            .await;
    };
    succeeded(1.0).await;
    let faults: [(Vec<Fault>, &str); 4] = [
        (vec![Fault::TooMany(None); 3], "429 APIGW.0308"),
        (
            vec![Fault::Html(200), Fault::Truncated, Fault::HalfJson],
            "instead of JSON",
        ),
        (vec![Fault::Refuse(500, "", "")], "answered 500"),
        (
            vec![Fault::Refuse(403, "APIGW.0302", "denied"); 2],
            "denied",
        ),
    ];
    let mut lines = 0;
    for (faults, text) in faults {
        world.fake.fail(faults);
        lines += 1;
        let line = host.says(|line| line.contains(text)).await;
        contains(
            &line,
            &[
                "WARN",
                "lost changes cannot be searched for now",
                "The search goes on",
            ],
        );
        succeeded(2.0).await;
    }
    world.fake.state().clock_offset_ms = 60 * 60 * 1000;
    host.says(|line| line.contains("the clock of this machine is 60 minutes behind"))
        .await;
    world.fake.state().clock_offset_ms = 0;
    succeeded(1.0).await;
    let metrics = host.metrics().await;
    for result in [
        "rate_limited",
        "not_understood",
        "unavailable",
        "refused",
        "wrong_clock",
    ] {
        let name = format!("batchtask_platform_calls_total{{result=\"{result}\"}}");
        assert!(metrics.value(&name) >= 1.0, "{result}");
    }
    let said = host.last_words();
    let count = |text: &str| said.matches(text).count();
    assert_eq!(
        count("lost changes cannot be searched"),
        lines + 1,
        "{said}"
    );
    assert_eq!(count("the platform answers again"), lines + 1, "{said}");
    assert!(!said.contains(SECRET_KEY), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_stops_no_receiver() {
    let world = World::with_scheme("http").await;
    std::fs::write(world.path("secret_key"), "another-secret-key").unwrap();
    let host = world.start(world.searching());
    let line = host.says(|line| line.contains("lost changes")).await;
    contains(
        &line,
        &["401 APIGW.0301", "check the access key and its secret"],
    );
    assert!(!line.contains("another-secret-key"), "{line}");
    host.client().read("/tasks").await;
    host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_option_needs_a_restart() {
    let world = World::with_scheme("http").await;
    let host = world.start(world.setup());
    let path = world.path("batchtask.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("reconcile = 'off'", "reconcile = 'off'\nrecheck_s = 7");
    std::fs::write(&path, text).unwrap();
    host.signal(Signal::HUP);
    let line = host.says(|line| line.contains("a restart is needed")).await;
    contains(&line, &["`platform.recheck_s`"]);
    host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_runs_once_without_a_receiver() {
    let world = World::with_scheme("http").await;
    let host = world.start(world.setup());
    world.run("setup --yes").expect(0);
    let (known, same) = (
        world.add_task("known", "Processing"),
        world.add_task("same", "Processing"),
    );
    for id in [&known, &same] {
        let body = notification(id, "Processing", 600);
        assert_eq!(world.fake.push(APP, &body).await, [Ok(200)]);
    }
    let journal = format!("sqlite:{}", host.setup().journal().display());
    let run = |line: &str| {
        let program = world
            .command(line)
            .variable(("BATCHTASK_JOURNAL", &journal));
        without_secrets(program.run())
    };
    let in_use = run("reconcile").expect(1);
    contains(
        &in_use.stderr,
        &["stop the receiver, or let it search itself"],
    );
    host.stop();
    let adopted = world.add_task("adopted", "Success");
    world.set_status(&known, "Fail");
    let report = run("reconcile --json").expect(0).json();
    assert_eq!(report["complete"], true);
    let found = report["found"].as_array().unwrap();
    let find = |id: &str| found.iter().find(|it| it["task_id"] == id);
    assert_eq!(found.len(), 2, "{report}");
    assert_eq!(find(&known).unwrap()["before"], "Processing");
    assert_eq!(find(&known).unwrap()["status"], "Fail");
    assert_eq!(find(&adopted).unwrap()["before"], Value::Null);
    assert!(report["same"].as_u64().unwrap() >= 1, "{report}");
    let again = run("reconcile").expect(0);
    contains(&again.stdout, &["0 changes found, 0 tasks adopted"]);

    // What was found before a failure is stored and reported.
    world.set_status(&same, "Stopped");
    let calls = world.fake.take_seen().len();
    assert!(calls > 5, "{calls}");
    world.fake.state().limit = Some((4, Fault::Html(200)));
    let failed = run("reconcile --json").expect(1);
    assert_eq!(failed.json()["complete"], false);
    contains(&failed.stderr, &["instead of JSON"]);
    world.fake.state().limit = None;
    let missing = world
        .command("reconcile")
        .variable(("BATCHTASK_JOURNAL", "sqlite:/nowhere/batchtask.db"));
    contains(&missing.run().expect(1).stderr, &["there is no journal"]);
}

/// Only one of several hosts asks. When it ends, another one goes on.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_hosts_asks() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let world = World::with_scheme("http").await;
    let id = world.add_task("task", "Processing");
    let setup = || {
        world
            .searching()
            .with_admin()
            .variable(("BATCHTASK_JOURNAL", &shared::url_of(&[server.port()])))
            .without_journal()
    };
    let calls = "batchtask_platform_calls_total{result=\"ok\"}";
    let first = world.start(setup());
    first.counts(|metrics| metrics.value(calls) >= 3.0).await;
    let second = world.start(setup());
    until(&mut second.client(), &id, |task| task["name"] == "task").await;
    let before = first.metrics().await.value(calls);
    first
        .counts(|metrics| metrics.value(calls) >= before + 10.0)
        .await;
    assert_eq!(second.metrics().await.value(calls), 0.0);
    first.stop();
    world.set_status(&id, "Fail");
    until(&mut second.client(), &id, |task| task["status"] == "Fail").await;
    assert!(second.metrics().await.value(calls) > 0.0);
    let _: &Host = &second;
    second.stop();
}

/// While the platform refuses all calls because of their rate, it is asked less and less.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_busy_for_a_while_is_asked_seldom() {
    let world = World::with_scheme("http").await;
    let id = world.add_task("task", "Processing");
    let host = world.start(world.searching());
    let mut client = host.client();
    until(&mut client, &id, |task| task["status"] == "Processing").await;
    let seconds = scale("BATCHTASK_TEST_PLATFORM_BUSY_SECONDS", 8);
    world.fake.fail(vec![Fault::TooMany(None); 10_000]);
    world.fake.take_seen();
    world.set_status(&id, "Fail");
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let calls = world.fake.take_seen().len();
    assert!(calls <= 2 * seconds + 6, "{calls} calls in {seconds} s");
    world.fake.state().faults.clear();
    until(&mut client, &id, |task| task["status"] == "Fail").await;
    let said = host.last_words();
    let failures = said.matches("lost changes cannot be searched").count();
    assert_eq!(failures, 1, "{said}");
    assert!(said.contains("429 APIGW.0308"), "{said}");
    eprintln!("{calls} calls in {seconds} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_exist_stops_no_receiver() {
    let world = World::with_scheme("http").await;
    let host = world.start(
        world
            .searching()
            .variable(("BATCHTASK_PLATFORM_REGION", "nowhere-1"))
            .variable((
                "BATCHTASK_PLATFORM_URL",
                "https://iotda.nowhere-1.myhuaweicloud.com",
            )),
    );
    let line = host.says(|line| line.contains("lost changes")).await;
    contains(&line, &["iotda.nowhere-1.myhuaweicloud.com"]);
    host.client().read("/tasks").await;
    let said = host.last_words();
    assert_eq!(said.matches("lost changes").count(), 1, "{said}");
}
