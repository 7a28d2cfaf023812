//! `batchtask platform task`

use serde_json::{Value, json};

use super::fake::APP;
use super::{World, contains};

/// Adds a task with these devices, and returns its id.
fn add(world: &World, devices: &[String]) -> String {
    let task = json!({"app_id": APP, "task_name": "upgrade north", "task_type": "softwareUpgrade",
        "targets": devices});
    let now_ms = world.fake.state().now_ms();
    let task = task.as_object().unwrap();
    let id = world.fake.state().store.add_task(task, now_ms);
    world.fake.state().store.set_status(&id, "Processing", "");
    id
}

fn devices(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("device_{number:03}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_their_devices_are_listed_and_shown() {
    let world = World::new().await;
    let id = add(&world, &devices(120));
    let other = add(&world, &devices(1));
    world
        .fake
        .state()
        .store
        .set_status(&other, "Success", "done");

    let list = world.run("task list").expect(0).stdout;
    contains(
        &list,
        &[
            "STATUS      TASK",
            "Processing",
            &id,
            &other,
            "upgrade north",
        ],
    );
    assert_eq!(list.lines().count(), 3, "{list}");
    let list = world.run("task list --status Success --json").expect(0);
    let lines = list.json_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["task_id"], &lines[0]["status_desc"]),
        (&json!(other), &json!("done"))
    );
    let none = world
        .run("task list --json --platform-app-id another")
        .expect(0);
    assert_eq!(none.stdout, "");

    let shown = world.run(&format!("task show {id}")).expect(0).stdout;
    contains(
        &shown,
        &["name     upgrade north", "devices  120: 120 waiting"],
    );
    let shown = world
        .run(&format!("task show {id} --json"))
        .expect(0)
        .json();
    assert_eq!(shown["task_progress"]["waitting"], 120);

    let all = world.run(&format!("task devices {id} --json")).expect(0);
    let mut targets: Vec<String> = all
        .json_lines()
        .iter()
        .map(|device| device["target"].as_str().unwrap().to_owned())
        .collect();
    targets.sort();
    assert_eq!(targets, devices(120));
    let one = world
        .run(&format!("task devices {id} --device device_007"))
        .expect(0);
    assert_eq!(one.stdout.lines().count(), 2, "{}", one.stdout);
    let ended = world.run("task show 000000000000000000000000").expect(1);
    contains(
        &ended.stderr,
        &["404 IOTDA.014012", "The batch task does not exist"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_stopped_and_retried_after_a_confirmation() {
    let world = World::new().await;
    let id = add(&world, &devices(3));
    world.fake.take_seen();
    for verb in ["stop", "retry"] {
        let refused = world.run(&format!("task {verb} {id}")).expect(2);
        contains(
            &refused.stdout,
            &["status   Processing", &format!("{verb} the task `{id}`")],
        );
    }
    assert!(world.changes().is_empty());

    let stopped = world.run(&format!("task stop {id} --device device_001 --yes --json"));
    let stopped = stopped.expect(0);
    let result = stopped.json();
    assert_eq!(result["targets"][0]["target"], "device_001");
    assert_eq!(result["targets"][0]["status"], "success");
    contains(&stopped.stderr, &["for `device_001`"]);
    let retried = world.run(&format!("task retry {id} --yes")).expect(0);
    contains(
        &retried.stdout,
        &["done: retry the task", "for all devices that failed"],
    );
    world.run(&format!("task stop {id} --yes")).expect(0);
    let ended = world.run(&format!("task stop {id} --yes")).expect(1);
    contains(
        &ended.stderr,
        &["cannot stop the batch task", "IOTDA.014111"],
    );
    let seen = world.fake.take_seen();
    let bodies = seen.iter().filter(|seen| seen.method == "POST");
    let bodies: Vec<Value> = bodies
        .map(|seen| serde_json::from_str(&seen.body).unwrap())
        .collect();
    let empty = json!({});
    assert_eq!(
        bodies,
        [
            json!({"targets": ["device_001"]}),
            empty.clone(),
            empty.clone(),
            empty
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_waits_is_confirmed() {
    let world = World::new().await;
    let id = add(&world, &devices(3));
    let preview = world.run(&format!("task confirm {id}")).expect(2);
    contains(
        &preview.stdout,
        &[&format!(
            "confirm the task `{id}` for all devices that wait"
        )],
    );
    world
        .run(&format!("task confirm {id} --device device_001 --yes"))
        .expect(0);
    let shown = world.run(&format!("task show {id}")).expect(0).stdout;
    contains(&shown, &["3: 1 in progress, 2 waiting"]);
    world.run(&format!("task confirm {id} --yes")).expect(0);
    world.run(&format!("task stop {id} --yes")).expect(0);
    let ended = world.run(&format!("task confirm {id} --yes")).expect(1);
    contains(
        &ended.stderr,
        &["cannot confirm the batch task", "IOTDA.014113"],
    );
}
