//! Batch tasks and their devices.

use batchtask_notification::time::rfc3339;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::routes::Outcome;
use super::store::{Query, Shape, Store, page, parameter};

/// A task.
pub(crate) struct FakeTask {
    /// The task as the platform shows it, and its resource space.
    pub(crate) value: Value,
    /// The devices as the platform shows them.
    pub(crate) devices: Vec<Value>,
}

const FINAL: [&str; 2] = ["Success", "Stopped"];

impl Store {
    /// Adds a task, as `POST batchtasks` does. Returns its id.
    pub(crate) fn add_task(&mut self, body: &Map<String, Value>, now_ms: u64) -> String {
        let number = self.number();
        let id = format!("{number:024x}");
        let targets = body.get("targets").and_then(Value::as_array).cloned();
        let device = |(place, target): (usize, Value)| {
            json!({"target": target, "status": "Waitting", "output": "",
                "marker_of_the_fake": format!("{place:024x}")})
        };
        let devices = targets
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(device);
        let mut value = json!({"task_id": id, "status": "Initializing", "status_desc": "",
            "create_time": compact(now_ms), "marker_of_the_fake": id});
        value.as_object_mut().unwrap().extend(body.clone());
        self.tasks.push(FakeTask {
            value,
            devices: devices.collect(),
        });
        id
    }

    /// Changes the status of a task.
    pub(crate) fn set_status(&mut self, task_id: &str, status: &str, status_desc: &str) {
        let task = self
            .tasks
            .iter_mut()
            .find(|task| task.value["task_id"] == task_id);
        let task = &mut task.unwrap().value;
        task["status"] = status.into();
        task["status_desc"] = status_desc.into();
    }

    /// Changes the status of a device of a task, with the error of a failure.
    pub(crate) fn set_device(&mut self, task_id: &str, device: &str, status: &str, error: Value) {
        let mut tasks = self.tasks.iter_mut();
        let task = tasks.find(|task| task.value["task_id"] == task_id).unwrap();
        let mut devices = task.devices.iter_mut();
        let device = devices.find(|it| it["target"] == device).unwrap();
        device["status"] = status.into();
        device["error"] = error;
    }
}

fn compact(at_ms: u64) -> String {
    let text = rfc3339(at_ms).replace(['-', ':'], "");
    format!("{}Z", text.split('.').next().unwrap())
}

impl FakeTask {
    /// The task as the platform shows it: without its resource space.
    fn shown(&self) -> Value {
        let mut value = self.value.clone();
        let count = |status: &str| {
            self.devices
                .iter()
                .filter(|it| it["status"] == status)
                .count()
        };
        value["task_progress"] = json!({
            "total": self.devices.len(), "processing": count("Processing"),
            "success": count("Success"), "fail": count("Fail"), "waitting": count("Waitting"),
            "fail_wait_retry": count("FailWaitRetry"), "stopped": count("Stopped"),
            "removed": count("Removed"),
        });
        value.as_object_mut().unwrap().remove("app_id");
        value
    }

    fn status(&self) -> &str {
        self.value["status"].as_str().unwrap()
    }

    /// Sets the devices with one of these statuses, or the named ones.
    fn set_devices(&mut self, body: &Map<String, Value>, from: &[&str], to: &str) -> Vec<Value> {
        let targets = body.get("targets").and_then(Value::as_array);
        let mut results = Vec::new();
        for device in &mut self.devices {
            let is_meant = match targets {
                Some(targets) => targets.contains(&device["target"]),
                None => from.contains(&device["status"].as_str().unwrap()),
            };
            if is_meant {
                device["status"] = to.into();
                results.push(json!({"target": device["target"], "status": "success"}));
            }
        }
        results
    }
}

pub(super) fn route(
    store: &mut Store,
    method: &str,
    rest: &[&str],
    body: &Map<String, Value>,
    query: &Query,
    now_ms: u64,
) -> Outcome {
    match (method, rest) {
        ("POST", []) => create(store, body, now_ms),
        ("GET", []) => list(store, query),
        ("GET", [id]) => show(find(store, id)?, query),
        ("DELETE", [id]) => {
            find(store, id)?;
            store.tasks.retain(|task| task.value["task_id"] != *id);
            Ok((204, None))
        }
        ("POST", [id, "confirm"]) => confirm(find(store, id)?, body),
        ("POST", [id, "stop"]) => stop(find(store, id)?, body),
        ("POST", [id, "retry"]) => retry(find(store, id)?, body),
        _ => Err(Refusal::new(
            404,
            "APIGW.0101",
            "The API does not exist or has not been published.",
        )),
    }
}

fn find<'a>(store: &'a mut Store, id: &str) -> Result<&'a mut FakeTask, Refusal> {
    let found = store
        .tasks
        .iter_mut()
        .find(|task| task.value["task_id"] == id);
    found.ok_or_else(|| Refusal::new(404, "IOTDA.014012", "The batch task does not exist."))
}

fn create(store: &mut Store, body: &Map<String, Value>, now_ms: u64) -> Outcome {
    for needed in ["app_id", "task_name", "task_type"] {
        if !body.contains_key(needed) {
            return Err(Refusal::input(needed));
        }
    }
    let id = store.add_task(body, now_ms);
    Ok((201, Some(json!({ "task_id": id }))))
}

fn list(store: &Store, query: &Query) -> Outcome {
    let shown: Vec<Value> = store
        .tasks
        .iter()
        .filter(|task| {
            ["app_id", "task_type", "status"]
                .iter()
                .all(|name| parameter(query, name).is_none_or(|wanted| task.value[*name] == wanted))
        })
        .map(FakeTask::shown)
        .collect();
    let page = page(shown.iter().collect(), query, "batchtasks", Shape::InPage)?;
    Ok((200, Some(page)))
}

fn show(task: &mut FakeTask, query: &Query) -> Outcome {
    let is_meant = |device: &&Value| {
        let status = parameter(query, "task_detail_status");
        let target = parameter(query, "target");
        status.is_none_or(|it| device["status"] == it)
            && target.is_none_or(|it| device["target"] == it)
    };
    let devices = task.devices.iter().filter(is_meant).collect();
    let mut body = page(devices, query, "task_details", Shape::InPage)?;
    let mut shown = task.shown();
    shown.as_object_mut().unwrap().remove("marker_of_the_fake");
    body["batchtask"] = shown;
    Ok((200, Some(body)))
}

fn confirm(task: &mut FakeTask, body: &Map<String, Value>) -> Outcome {
    let is_upgrade = ["firmwareUpgrade", "softwareUpgrade", "moduleUpgrade"];
    let has_ended = FINAL.contains(&task.status())
        || ["Fail", "PartialSuccess", "Stopping"].contains(&task.status());
    if has_ended || !is_upgrade.contains(&task.value["task_type"].as_str().unwrap_or_default()) {
        return Err(Refusal::new(
            400,
            "IOTDA.014113",
            "The task cannot be confirmed in this status.",
        ));
    }
    let results = task.set_devices(body, &["Waitting"], "Processing");
    task.value["status"] = "Processing".into();
    Ok((200, Some(json!({ "targets": results }))))
}

fn stop(task: &mut FakeTask, body: &Map<String, Value>) -> Outcome {
    if FINAL.contains(&task.status())
        || ["Fail", "PartialSuccess", "Stopping"].contains(&task.status())
    {
        return Err(Refusal::new(
            400,
            "IOTDA.014111",
            "The task cannot be stopped in this status.",
        ));
    }
    let results = task.set_devices(
        body,
        &["Waitting", "Processing", "FailWaitRetry"],
        "Stopped",
    );
    if body.contains_key("targets") {
        return Ok((200, Some(json!({ "targets": results }))));
    }
    task.value["status"] = "Stopped".into();
    Ok((204, None))
}

fn retry(task: &mut FakeTask, body: &Map<String, Value>) -> Outcome {
    if FINAL.contains(&task.status())
        || ["Stopping", "Waitting", "Initializing"].contains(&task.status())
    {
        return Err(Refusal::new(
            400,
            "IOTDA.014112",
            "The task cannot be retried in this status.",
        ));
    }
    let results = task.set_devices(body, &["Fail", "Stopped"], "Waitting");
    task.value["status"] = "Processing".into();
    Ok((200, Some(json!({ "targets": results }))))
}
