//! [`Reply`]: the platform's answer to a [`Query`].

use super::local::TaskKey;
use super::scan::Listed;
use super::schedule::Query;
use super::verdict::Seen;
use crate::api::tasks::{DeviceFilter, Task, TaskFilter};
use crate::client::Client;
use crate::error::Error;
use crate::pages::{Page, PageRequest};

/// The status of a device for which a task failed.
const FAILED: &str = "Fail";

/// How many failed devices are read.
const FAILED_DEVICES: u32 = 20;

/// The platform's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The task.
    Shown(Box<Seen>),
    /// The platform does not have the task any more.
    Gone,
    /// A page of tasks, as they were seen, and the page for
    /// [`Schedule::listed`](super::Schedule::listed).
    Listed(Vec<Seen>, Page<Task>),
}

impl Client {
    /// Makes the call of a query.
    ///
    /// # Errors
    /// The call failed, or the answer has no `Date`. This host's clock is no
    /// substitute, because a wrong one would damage the order of events.
    pub async fn ask(&self, query: &Query) -> Result<Reply, Error> {
        match query {
            Query::Show(key, _) => self.ask_task(key).await,
            Query::List(listed) => self.ask_page(listed).await,
        }
    }

    async fn ask_task(&self, key: &TaskKey) -> Result<Reply, Error> {
        // One call returns the task, and some of the devices for which it failed.
        let failed = DeviceFilter {
            status: Some(FAILED.to_owned()),
            target: None,
        };
        let devices = PageRequest {
            limit: Some(FAILED_DEVICES),
            ..PageRequest::default()
        };
        let detail = match self.task(&key.task_id, &failed, &devices).await {
            Err(error) if error.is_not_found() => return Ok(Reply::Gone),
            outcome => outcome?,
        };
        let date_ms = detail
            .devices
            .date_ms
            .ok_or_else(|| self.undated("read the batch task"))?;
        Ok(Reply::Shown(Box::new(Seen {
            key: key.clone(),
            task: detail.task,
            date_ms,
            failed_devices: Some(detail.devices.items),
        })))
    }

    async fn ask_page(&self, listed: &Listed) -> Result<Reply, Error> {
        let filter = TaskFilter {
            app_id: Some(listed.app_id.clone()),
            task_type: None,
            status: listed.status.map(str::to_owned),
        };
        let request = PageRequest::after(listed.marker.clone());
        let page = self.page(&filter, &request).await?;
        let date_ms = page
            .date_ms
            .ok_or_else(|| self.undated("list the batch tasks"))?;
        let seen = page.items.iter().map(|task| Seen {
            key: TaskKey {
                app_id: listed.app_id.clone(),
                task_id: task.task_id.clone(),
            },
            task: task.clone(),
            date_ms,
            failed_devices: None,
        });
        Ok(Reply::Listed(seen.collect(), page))
    }

    fn undated(&self, operation: &'static str) -> Error {
        Error::Unexpected {
            operation,
            host: self.host().to_owned(),
            request_id: None,
            source: "there is no header `Date`, or it is malformed".into(),
        }
    }
}
