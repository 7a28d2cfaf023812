//! Batch tasks and their devices.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;
use crate::pages::{Filter, Page, PageRequest, page};

const PATH: &str = "batchtasks";

/// A batch task. The platform does not tell its resource space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub task_id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub task_name: String,
    /// Its type, such as `softwareUpgrade`.
    #[serde(default, deserialize_with = "or_default")]
    pub task_type: String,
    /// Its status, such as `Processing`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The description of its status.
    #[serde(default, deserialize_with = "or_default")]
    pub status_desc: String,
    /// When it was created: `yyyyMMdd'T'HHmmss'Z'`.
    pub create_time: Option<String>,
    /// When it begins, and how often it is repeated.
    pub task_policy: Option<TaskPolicy>,
    /// How many devices are in which state.
    pub task_progress: Option<TaskProgress>,
}

/// When a task begins, and how often it is repeated for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPolicy {
    /// When it begins: `yyyyMMdd'T'HHmmss'Z'`. Absent: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_time: Option<String>,
    /// How often it is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u64>,
    /// The time between repetitions, in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<u64>,
}

/// How many devices of a task are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskProgress {
    /// All devices.
    pub total: u64,
    /// Devices that are being worked on.
    pub processing: u64,
    /// Devices that succeeded.
    pub success: u64,
    /// Devices that failed.
    pub fail: u64,
    /// Devices that wait. The spelling is the platform's.
    pub waitting: u64,
    /// Devices that failed and wait for a repetition.
    pub fail_wait_retry: u64,
    /// Devices that were stopped.
    pub stopped: u64,
    /// Devices that were removed.
    pub removed: u64,
}

/// The state of one device of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The id of the device.
    pub target: String,
    /// Its status.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The output that it reported.
    pub output: Option<String>,
    /// Why it failed.
    pub error: Option<DeviceError>,
}

/// Why a device failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceError {
    /// The platform's error code.
    pub error_code: Option<String>,
    /// The platform's message.
    pub error_msg: Option<String>,
}

/// A task, and one page of its devices.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskDetail {
    /// The task.
    pub task: Task,
    /// The devices.
    pub devices: Page<Device>,
}

/// A task to create.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewTask {
    /// The resource space.
    pub app_id: String,
    /// Its name.
    pub task_name: String,
    /// Its type.
    pub task_type: String,
    /// The ids of its devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Which devices it is for, instead of ids.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub targets_filter: Map<String, Value>,
    /// The parameters of the task, such as `{"package_id": …}`.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub document: Value,
    /// When it begins, and how often it is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_policy: Option<TaskPolicy>,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// The resource space.
    pub app_id: Option<String>,
    /// The type.
    pub task_type: Option<String>,
    /// The status.
    pub status: Option<String>,
}

/// Which devices of a task to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// The status of the device.
    pub status: Option<String>,
    /// The id of the device.
    pub target: Option<String>,
}

/// The result of a call for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The id of the device.
    pub target: String,
    /// `success` or `failure`.
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// The platform's error code.
    pub error_code: Option<String>,
    /// The platform's message.
    pub error_msg: Option<String>,
}

#[derive(Deserialize)]
struct Created {
    task_id: String,
}

#[derive(Deserialize)]
struct Shown {
    batchtask: Task,
}

#[derive(Serialize)]
struct Targets<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    targets: &'a [String],
}

#[derive(Default, Deserialize)]
struct TargetResults {
    #[serde(default, deserialize_with = "or_default")]
    targets: Vec<TargetResult>,
}

impl Filter for TaskFilter {
    type Item = Task;
    const OPERATION: &'static str = "list the batch tasks";
    const PATH: &'static str = PATH;
    const ITEMS: &'static str = "batchtasks";

    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("app_id", self.app_id.clone()),
            ("task_type", self.task_type.clone()),
            ("status", self.status.clone()),
        ]
    }
}

impl Client {
    /// Creates a task. Returns its id.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_task(&self, task: &NewTask) -> Result<String, Error> {
        let call = Call::new("create the batch task", Method::POST, &[PATH]).json(task);
        let created: Created = self.send(&call).await?.json()?;
        Ok(created.task_id)
    }

    /// Returns a task and one page of its devices.
    ///
    /// # Errors
    /// The call failed.
    pub async fn task(
        &self,
        task_id: &str,
        devices: &DeviceFilter,
        page_request: &PageRequest,
    ) -> Result<TaskDetail, Error> {
        let call = Call::new("read the batch task", Method::GET, &[PATH, task_id])
            .query("task_detail_status", devices.status.as_deref())
            .query("target", devices.target.as_deref());
        let answer = self.send(&page_request.add_to(call)).await?;
        let shown: Shown = answer.json()?;
        let devices = page(&answer, "task_details")?;
        let task = shown.batchtask;
        Ok(TaskDetail { task, devices })
    }

    /// Stops a task, or some of its devices. No targets: all.
    ///
    /// # Errors
    /// The call failed.
    pub async fn stop_task(
        &self,
        task_id: &str,
        targets: &[String],
    ) -> Result<Vec<TargetResult>, Error> {
        self.act("stop the batch task", task_id, "stop", targets)
            .await
    }

    /// Lets the waiting devices of a task begin, or some of them: of an upgrade that
    /// was created to be confirmed. No targets: all.
    ///
    /// # Errors
    /// The call failed.
    pub async fn confirm_task(
        &self,
        task_id: &str,
        targets: &[String],
    ) -> Result<Vec<TargetResult>, Error> {
        self.act("confirm the batch task", task_id, "confirm", targets)
            .await
    }

    /// Tries a task again, or some of its devices. No targets: all that failed.
    ///
    /// # Errors
    /// The call failed.
    pub async fn retry_task(
        &self,
        task_id: &str,
        targets: &[String],
    ) -> Result<Vec<TargetResult>, Error> {
        self.act("retry the batch task", task_id, "retry", targets)
            .await
    }

    async fn act(
        &self,
        operation: &'static str,
        task_id: &str,
        verb: &str,
        targets: &[String],
    ) -> Result<Vec<TargetResult>, Error> {
        let call = Call::new(operation, Method::POST, &[PATH, task_id, verb]);
        let answer = self.send(&call.json(&Targets { targets })).await?;
        if answer.body.is_empty() {
            return Ok(Vec::new());
        }
        let results: TargetResults = answer.json()?;
        Ok(results.targets)
    }

    /// Deletes a task.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_task(&self, task_id: &str) -> Result<(), Error> {
        let call = Call::new("delete the batch task", Method::DELETE, &[PATH, task_id]);
        self.send(&call).await.map(drop)
    }
}
