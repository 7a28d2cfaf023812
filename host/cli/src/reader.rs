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

use super::admin::Admin;
use super::answer::ClientError;
use super::client::{Client, Server};
use super::config::{ADMIN, ClientGroup, Flags, URL, Values};
use super::exit::Usage;
use super::table::escape_json;

/// The receiver that is read, and the token for it.
#[derive(Args)]
pub(super) struct Remote {
    #[command(flatten)]
    flags: Flags<ClientGroup>,
    /// The read token of the receiver. Other users of this machine can see a
    /// command line: prefer the variable or the configuration file
    /// [env: BATCHTASK_READ_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    read_token: Option<String>,
}

impl Remote {
    /// Returns the value of an option, if it is set.
    pub(super) fn configured(&self, name: &str) -> Option<String> {
        self.flags.values().text(name).map(str::to_owned)
    }

    /// Returns the admin listener at the default address, if the receiver is at its default
    /// URL and an admin listener answers there.
    pub(super) async fn default_admin(&self) -> Option<Admin> {
        let mut values = self.flags.values();
        if values.text(URL.name).is_some() {
            return None;
        }
        let admin = Admin::at(&values.value(&ADMIN)?)?;
        let answers = admin.refusal("/healthz").await.is_ok();
        answers.then_some(admin)
    }
}

/// Returns the header field that contains the read token.
fn authorization(values: &Values, token: Option<&str>) -> Result<HeaderValue, &'static str> {
    let token = token.or(values.text("read_token")).unwrap_or("");
    // The first of two is the new one.
    let token = token.split(',').next().unwrap_or("").trim();
    if token.is_empty() {
        return Err("there is no read token: set BATCHTASK_READ_TOKEN to the receiver's token");
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "the read token must be visible ASCII characters")?;
    value.set_sensitive(true);
    Ok(value)
}

/// A client for the read API of a receiver.
pub(super) struct Reader {
    client: Client,
    token: HeaderValue,
}

/// An object of the API: its known members, and the JSON as received.
pub(super) struct Item<T> {
    pub(super) value: T,
    /// The JSON, on one line. It includes members that this program does not know. What
    /// could control a terminal is escaped.
    pub(super) json: String,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let value = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        let json = escape_json(raw.get());
        Ok(Self { value, json })
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
    pub(super) name: Option<String>,
    pub(super) policy: Option<Policy>,
    pub(super) progress: Option<Progress>,
    /// Empty in a list of tasks.
    #[serde(default)]
    pub(super) failed_devices: Vec<FailedDevice>,
}

/// When a task begins, and how often it is repeated.
#[derive(Deserialize)]
pub(super) struct Policy {
    /// `None`: at once.
    pub(super) schedule_time: Option<String>,
    pub(super) retry_count: Option<u64>,
    /// In minutes.
    pub(super) retry_interval: Option<u64>,
}

/// How many devices of a task are in which state.
#[derive(Deserialize)]
pub(super) struct Progress {
    pub(super) total: u64,
    pub(super) processing: u64,
    pub(super) success: u64,
    pub(super) fail: u64,
    pub(super) waiting: u64,
    pub(super) fail_wait_retry: u64,
    pub(super) stopped: u64,
    pub(super) removed: u64,
    /// When the platform reported it.
    pub(super) at: String,
}

impl Progress {
    /// How many devices are done, of how many.
    pub(super) fn done(&self) -> String {
        let done = self.success + self.fail + self.stopped + self.removed;
        format!("{done}/{}", self.total)
    }
}

/// A device for which a task failed.
#[derive(Deserialize)]
pub(super) struct FailedDevice {
    pub(super) device: String,
    pub(super) error_code: Option<String>,
    pub(super) error_msg: Option<String>,
}

/// An event: a change of a task.
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
    /// The channel by which it arrived.
    pub(super) source: String,
    pub(super) signature: Option<String>,
    pub(super) duplicates: u64,
    pub(super) flags: Vec<String>,
    pub(super) request_ids: Vec<String>,
    /// `None` if the body is not UTF-8.
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

/// A page of the feed: events in order of arrival.
#[derive(Deserialize)]
pub(super) struct Feed {
    pub(super) events: Vec<Item<Event>>,
    /// The value of `after` for the next page.
    pub(super) last_seq: u64,
}

impl Reader {
    pub(super) fn new(remote: &Remote) -> anyhow::Result<Self> {
        Self::open(remote.flags.values(), remote.read_token.as_deref())
    }

    /// Makes a reader for this configuration, with this token or else the configured one.
    pub(super) fn open(mut values: Values, token: Option<&str>) -> anyhow::Result<Self> {
        let server = Server::new(&mut values);
        values.check()?;
        let token = authorization(&values, token).map_err(Usage)?;
        let client = Client::new(server)?;
        Ok(Self { client, token })
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

    /// `GET /summary`
    pub(super) async fn summary<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        self.get("/summary").await
    }

    /// A page of `GET /quarantine`.
    pub(super) async fn quarantine<T: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
    ) -> Result<T, ClientError> {
        let query = Query::default()
            .with("limit", Some(PAGE_ITEMS_MAX))
            .with("cursor", cursor);
        self.get(&format!("/quarantine{query}")).await
    }

    /// `GET /quarantine/{seq}`
    pub(super) async fn reject<T: DeserializeOwned>(&self, seq: u64) -> Result<T, ClientError> {
        self.get(&format!("/quarantine/{seq}")).await
    }

    /// The URL of the receiver.
    pub(super) fn url(&self) -> &str {
        self.client.url()
    }

    /// Returns the `seq` of the last event, or 0 if there is none. The API does not
    /// report it, so this searches the feed: about forty requests for a million
    /// events.
    pub(super) async fn last_seq(&self) -> Result<u64, ClientError> {
        self.search(|_| true).await
    }

    /// Returns the `seq` of the last event that arrived before an instant in the form of
    /// the API, or 0 without events. Events arrive in the order of the feed, unless
    /// the clock of the receiver went back.
    pub(super) async fn seq_before(&self, instant: &str) -> Result<u64, ClientError> {
        self.search(|event| event.received_at.as_str() < instant)
            .await
    }

    /// Returns the `seq` of the last event that matches, if all events before it do too.
    async fn search(&self, matches: impl Fn(&Event) -> bool) -> Result<u64, ClientError> {
        let mut last = 0_u64;
        let mut step = 1_u64;
        let mut end = None;
        loop {
            // Doubling steps until no event follows, then a binary search.
            let at = match end {
                None => last.saturating_add(step),
                // `last` exceeds `end` if an event has arrived meanwhile.
                Some(end) if last >= end => return Ok(last),
                Some(end) => last + (end - last) / 2,
            };
            step = step.saturating_mul(2);
            match self.feed(at, 1, 0).await?.events.last() {
                Some(event) if matches(&event.value) => last = event.value.seq,
                _ => end = Some(at),
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

/// Percent-encodes a text, as a path segment or a parameter's value.
fn encode(text: &str) -> String {
    percent::encode(text, b"")
}

/// A query string.
#[derive(Clone, Default)]
pub(super) struct Query(String);

impl Query {
    /// Adds a parameter for each value.
    pub(super) fn with_each(self, name: &str, values: &[impl ToString]) -> Self {
        let values = values.iter();
        values.fold(self, |query, value| {
            query.with(name, Some(value.to_string()))
        })
    }

    /// Adds a parameter, if it has a value.
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
    fn unknown_members_stay_in_the_json() {
        let text = "{\"next\":null,\"last_seq\":1,\"events\":[{\"seq\":1,\"app_id\":\"a\",\
            \"task_id\":\"t\",\"task_type\":\"y\",\"status\":\"s\",\"status_desc\":\"\\n\",\n\
            \"event_time\":null,\"event_time_ms\":null,\"occurred_at\":\"\",\"received_at\":\"\",\
            \"digest\":\"\",\"source\":\"push\",\"signature\":null,\"duplicates\":0,\"flags\":[],\"request_ids\":[],\
            \"new\":{\"x\":1.50}}]}";
        let feed: Feed = serde_json::from_str(text).unwrap();
        let [event] = feed.events.as_slice() else {
            panic!("one event");
        };
        assert_eq!(event.value.status_desc, "\n");
        assert!(
            event.json.ends_with("\"new\":{\"x\":1.50}}"),
            "{}",
            event.json
        );
        assert!(!event.json.contains('\n'));
    }
}
