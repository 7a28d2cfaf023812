//! The documented example, verbatim, from HTTP to disk and back.

use std::fs;

use batchtask_host::component::EMBEDDED;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::{EXAMPLE, EXAMPLE_TASK};

#[tokio::test]
async fn the_example_is_recorded_once_and_survives_a_kill_and_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    survives(Setup::in_folder(folder.path()).start()).await;
}

#[tokio::test]
async fn the_example_is_recorded_once_by_a_component_with_wasi_http_only() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("component.wasm");
    fs::write(&component, without_intake()).unwrap();
    let setup = Setup::in_folder(folder.path());
    let setup = setup.argument("--component").argument(&component);
    survives(setup.start()).await;
}

/// Duplicates are detected independently of the memory of an instance.
#[tokio::test]
async fn the_example_is_recorded_once_by_instances_of_any_age() {
    for reuse in ["1", "2", "1000"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path());
        let setup = setup.argument("--instance-reuse").argument(reuse);
        survives(setup.start()).await;
    }
}

async fn survives(host: Host) {
    let mut client = host.client();
    let receipt = client.post(EXAMPLE).await;
    receipt.expect(200, "recorded");
    assert_eq!(receipt.header("content-type"), Some("application/json"));
    assert_eq!(receipt.json()["task_id"], "1a7ffc5c-d89c-44dd-8265");
    let first = state(&mut client).await;

    let host = host.kill_and_restart();
    let mut client = host.client();
    assert_eq!(state(&mut client).await, first, "after a kill");
    client.post(EXAMPLE).await.expect(200, "duplicate");
    let counted = state(&mut client).await;
    assert_eq!(counted.0["duplicates"], 1);
    assert_eq!(counted.1["duplicates"], 1);

    let host = host.kill_and_restart();
    assert_eq!(state(&mut host.client()).await, counted, "after a kill");
    let host = host.stop_and_restart();
    assert_eq!(state(&mut host.client()).await, counted, "after a stop");
}

/// Returns the task of the example, and its only event.
async fn state(client: &mut Client) -> (Value, Value) {
    let task = client.read(EXAMPLE_TASK).await;
    assert_eq!(task["status"], "Waitting");
    assert_eq!(task["task_type"], "softwareUpgrade");
    assert_eq!(task["status_desc"], "status_desc");
    assert_eq!(task["class"], "open");
    assert_eq!(task["occurred_at"], "2015-12-12T12:12:12.000Z");
    assert_eq!(task["events"], 1);

    let list = client.read("/tasks").await;
    assert_eq!(
        list["tasks"].as_array().unwrap(),
        std::slice::from_ref(&task)
    );
    assert_eq!(list["next"], Value::Null);

    let history = client.read(&format!("{EXAMPLE_TASK}/events")).await;
    let [event] = history["events"].as_array().unwrap().as_slice() else {
        panic!("one event: {history}");
    };
    assert_eq!(event["body"], EXAMPLE, "byte for byte");
    assert_eq!(event["event_time"], "20151212T121212Z");
    assert_eq!(event["event_time_ms"], "2015-12-12T12:12:12.000Z");
    assert_eq!(
        event["request_ids"][0],
        "3fe58d5e-8697-4849-a165-7db128f7e776"
    );
    (task, event.clone())
}

/// Returns the setup for both entry points of a component: `intake`, and `wasi:http`.
pub(crate) fn both_ways(setup: Setup) -> [Setup; 2] {
    let folder = setup.journal().parent().expect("a folder").to_owned();
    let component = folder.join("component.wasm");
    fs::write(&component, without_intake()).unwrap();
    let over_wasi_http = setup.clone().with_journal(folder.join("wasi-http.db"));
    let component = over_wasi_http.argument("--component").argument(component);
    [setup, component]
}

/// Returns the embedded component with `intake` renamed, so that hosts do not find it.
/// The new name has the same length, so that nothing else in the binary moves.
pub(crate) fn without_intake() -> Vec<u8> {
    const NAME: &[u8] = b"batchtask:receiver/intake@";
    const OTHER: &[u8] = b"batchtask:receiver/unseen@";
    let mut component = EMBEDDED.to_vec();
    while let Some(at) = component
        .windows(NAME.len())
        .position(|found| found == NAME)
    {
        component[at..at + NAME.len()].copy_from_slice(OTHER);
    }
    component
}
