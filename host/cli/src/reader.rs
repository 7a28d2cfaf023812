//! Reading a running receiver over its API.

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use batchtask_guest::percent;
use bytes::Bytes;
use clap::Args;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http_body_util::Full;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::answer::ClientError;
use super::client::{Client, Server};

/// Which receiver is read, and as whom.
#[derive(Args)]
pub(super) struct Remote {
    #[command(flatten)]
    server: Server,
    /// What the receiver has as `BATCHTASK_READ_TOKEN`. Better in the variable:
    /// others on this machine see a command line
    #[arg(
        long,
        // Whoever leaves it out is told of the variable.
        value_name = "BATCHTASK_READ_TOKEN",
        env = "BATCHTASK_READ_TOKEN",
        hide_env_values = true,
        value_parser = bearer
    )]
    read_token: HeaderValue,
}

fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| "it must be visible ASCII characters")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The reads that a receiver answers.
pub(super) struct Reader {
    client: Client,
    token: HeaderValue,
}

/// An object of the API: what is known of it, and the whole as it came.
pub(super) struct Item<T> {
    pub(super) known: T,
    /// One line of JSON.
    pub(super) json: String,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let known = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        // A line break in JSON text can only stand between its tokens.
        let json = raw.get().replace(['\n', '\r'], " ");
        Ok(Self { known, json })
    }
}

/// The state of a task.
#[derive(Deserialize)]
pub(super) struct Task {
    pub(super) app_id: String,
    pub(super) task_id: String,
    pub(super) task_type: String,
    pub(super) status: String,
    pub(super) status_desc: String,
    pub(super) class: String,
    pub(super) occurred_at: String,
    pub(super) first_occurred_at: String,
    pub(super) last_received_at: String,
    pub(super) events: u64,
    pub(super) duplicates: u64,
    pub(super) flags: Vec<String>,
    pub(super) request_ids: Vec<String>,
}

/// A change of a task.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) app_id: String,
    pub(super) task_id: String,
    pub(super) task_type: String,
    pub(super) status: String,
    pub(super) status_desc: String,
    pub(super) event_time: Option<String>,
    pub(super) event_time_ms: Option<String>,
    pub(super) occurred_at: String,
    pub(super) received_at: String,
    pub(super) digest: String,
    pub(super) signature: Option<String>,
    pub(super) duplicates: u64,
    pub(super) flags: Vec<String>,
    pub(super) request_ids: Vec<String>,
    /// Absent when it is not UTF-8.
    pub(super) body: Option<String>,
}

/// A page of tasks.
#[derive(Deserialize)]
pub(super) struct TaskPage {
    pub(super) tasks: Vec<Item<Task>>,
    pub(super) next: Option<String>,
}

/// A page of the events of one task.
#[derive(Deserialize)]
pub(super) struct HistoryPage {
    pub(super) events: Vec<Item<Event>>,
    pub(super) next: Option<String>,
}

/// Some events in order of arrival.
#[derive(Deserialize)]
pub(super) struct Feed {
    pub(super) events: Vec<Item<Event>>,
    /// What to ask for next.
    pub(super) last_seq: u64,
}

impl Reader {
    pub(super) fn new(remote: Remote) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(remote.server)?,
            token: remote.read_token,
        })
    }

    /// `GET /tasks`
    pub(super) async fn tasks(
        &self,
        query: &Query,
        cursor: Option<&str>,
    ) -> Result<TaskPage, ClientError> {
        let query = query.clone().with("cursor", cursor);
        self.get(&format!("/tasks{query}")).await
    }

    /// `GET /tasks/{app_id}/{task_id}`
    pub(super) async fn task(
        &self,
        app_id: &str,
        task_id: &str,
    ) -> Result<Item<Task>, ClientError> {
        self.get(&task_path(app_id, task_id)).await
    }

    /// `GET /tasks/{app_id}/{task_id}/events`
    pub(super) async fn history(
        &self,
        app_id: &str,
        task_id: &str,
        cursor: Option<&str>,
    ) -> Result<HistoryPage, ClientError> {
        let query = Query::default()
            .with("limit", Some(PAGE_ITEMS_MAX))
            .with("cursor", cursor);
        let path = task_path(app_id, task_id);
        self.get(&format!("{path}/events{query}")).await
    }

    /// `GET /events`
    pub(super) async fn feed(
        &self,
        after: u64,
        limit: u32,
        wait_s: u32,
    ) -> Result<Feed, ClientError> {
        let query = Query::default()
            .with("after", Some(after))
            .with("limit", Some(limit))
            .with("wait", Some(wait_s));
        self.get(&format!("/events{query}")).await
    }

    /// The number of the last event there is, or 0. The feed tells only what comes
    /// after a number: some forty questions find the end of a million events.
    pub(super) async fn last_seq(&self) -> Result<u64, ClientError> {
        let mut last = 0_u64;
        let mut step = 1_u64;
        let mut none_after = None;
        loop {
            // Ever further on until nothing follows, then half way back.
            let at = match none_after {
                None => last.saturating_add(step),
                // An event that arrived meanwhile is beyond the end.
                Some(end) if last >= end => return Ok(last),
                Some(end) => last + (end - last) / 2,
            };
            step = step.saturating_mul(2);
            match self.feed(at, 1, 0).await?.events.last() {
                Some(event) => last = event.known.seq,
                None => none_after = Some(at),
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let mut request = Request::new(Full::<Bytes>::default());
        *request.uri_mut() = self.client.uri(target)?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.token.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.client.exchange(request).await?;
        self.client.value(&answer)
    }
}

fn task_path(app_id: &str, task_id: &str) -> String {
    format!("/tasks/{}/{}", encode(app_id), encode(task_id))
}

/// Encodes a text so that it is one segment of a path, or one value.
fn encode(text: &str) -> String {
    percent::encode(text, b"")
}

/// A query string.
#[derive(Clone, Default)]
pub(super) struct Query(String);

impl Query {
    /// With one parameter more, if it has a value.
    pub(super) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            let separator = if self.0.is_empty() { '?' } else { '&' };
            self.0 += &format!("{separator}{name}={}", encode(&value.to_string()));
        }
        self
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_values_of_any_text_are_encoded() {
        assert_eq!(task_path("a/b", ".. ü"), "/tasks/a%2Fb/%2E%2E%20%C3%BC");
        let query = Query::default()
            .with("q", Some("a&b=c+d"))
            .with("limit", Some(7));
        assert_eq!(query.to_string(), "?q=a%26b%3Dc%2Bd&limit=7");
        assert_eq!(Query::default().with("q", None::<&str>).to_string(), "");
    }

    #[test]
    fn members_that_are_not_known_stay_in_the_json() {
        let text = "{\"next\":null,\"last_seq\":1,\"events\":[{\"seq\":1,\"app_id\":\"a\",\
            \"task_id\":\"t\",\"task_type\":\"y\",\"status\":\"s\",\"status_desc\":\"\\n\",\n\
            \"event_time\":null,\"event_time_ms\":null,\"occurred_at\":\"\",\"received_at\":\"\",\
            \"digest\":\"\",\"signature\":null,\"duplicates\":0,\"flags\":[],\"request_ids\":[],\
            \"new\":{\"x\":1.50}}]}";
        let feed: Feed = serde_json::from_str(text).unwrap();
        let [event] = feed.events.as_slice() else {
            panic!("one event");
        };
        assert_eq!(event.known.status_desc, "\n");
        assert!(
            event.json.ends_with("\"new\":{\"x\":1.50}}"),
            "{}",
            event.json
        );
        assert!(!event.json.contains('\n'));
    }
}
