//! [`Reply`]: the platform's answer to a [`Query`].

use super::local::TaskKey;
use super::scan::Listed;
use super::schedule::Query;
use super::verdict::Seen;
use crate::api::tasks::{DeviceFilter, Task, TaskFilter};
use crate::client::Client;
use crate::error::Error;
use crate::pages::{Page, PageRequest};

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
        // The devices are not needed.
        let devices = PageRequest {
            limit: Some(1),
            ..PageRequest::default()
        };
        let detail = match self
            .task(&key.task_id, &DeviceFilter::default(), &devices)
            .await
        {
            Err(error) if error.is_not_found() => return Ok(Reply::Gone),
            outcome => outcome?,
        };
        let date_ms = detail
            .devices
            .date_ms
            .ok_or_else(|| self.undated("read the batch task"))?;
        let (key, task) = (key.clone(), detail.task);
        Ok(Reply::Shown(Box::new(Seen { key, task, date_ms })))
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
