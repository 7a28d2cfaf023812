//! The suite: requests with the answers that every host must give, whatever the entry
//! point of the component is.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::notifications::{BASE_MS, Notification};
use crate::support::signing::Operands;
use crate::support::{EXAMPLE, EXAMPLE_TASK};

/// The abilities of a host's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journal {
    /// It detects duplicates, and events can be read and followed.
    Feeds,
    /// It detects duplicates, and events can be read but not followed.
    Keeps,
    /// It stores nothing. Reads are unsupported.
    Forwards,
    /// It stores nothing, and there is no read token.
    Discards,
}

impl Journal {
    fn is_readable(self) -> bool {
        matches!(self, Self::Feeds | Self::Keeps)
    }
}

/// When a host refuses a request whose body it need not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuses {
    /// As soon as it has read the head.
    Heads,
    /// After it has read the body, up to the allowed length.
    Bodies,
}

/// The longest body with default settings, in bytes.
const MAX_BODY_BYTES: usize = 1_572_864;

/// Runs the whole suite against a host. The host must have the read token of the
/// tests, unless its journal [`Discards`](Journal::Discards), and must not have
/// received any event of the suite.
pub(crate) async fn conforms(client: &mut Client, journal: Journal, refuses: Refuses) {
    example(client, journal).await;
    order(client, journal).await;
    problems(client).await;
    bodies(client, refuses).await;
    reads(client, journal).await;
}

/// The setting with which a host enforces signatures.
pub(crate) const ENFORCE: (&str, &str) = ("BATCHTASK_SIGNATURE", "enforce");
/// The token of signed pushes.
pub(crate) const TOKEN: &str = "kQ3vT9xLm2Rb7Zc5";

/// Runs the suite for signatures against a host that enforces them, and whose
/// journal can be read.
pub(crate) async fn admits_a_signature_once(client: &mut Client) {
    client.post(EXAMPLE).await.expect(401, "unauthorized");
    let other = Notification::numbered(1).body();
    for (body, first, again) in [
        (EXAMPLE, "recorded", "duplicate"),
        (EXAMPLE, "duplicate", "duplicate"),
        ("{}", "quarantined", "quarantined"),
    ] {
        let operands = Operands::now(TOKEN);
        push(client, &operands, body).await.expect(200, first);
        push(client, &operands, body).await.expect(200, again);
        for another in [&*other, "[]"] {
            let answer = push(client, &operands, another).await;
            answer.expect(401, "unauthorized");
        }
    }
    let task = client.read(EXAMPLE_TASK).await;
    assert_eq!(task["events"], 1);
    let list = client.read("/tasks").await;
    assert_eq!(list["tasks"].as_array().expect("a list").len(), 1);
    let quarantine = client.read("/quarantine").await;
    let rejects = quarantine["rejects"].as_array().expect("a list");
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0]["body"], "{}");
}

async fn push(client: &mut Client, operands: &Operands, body: &str) -> Answer {
    let signature = operands.signature();
    let headers = operands.headers(&signature);
    let answer = client.exchange("POST", "/notifications", &headers, body.as_bytes());
    answer.await.expect("an answer")
}

async fn example(client: &mut Client, journal: Journal) {
    let first = client.post(EXAMPLE).await;
    first.expect(200, "recorded");
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.json()["task_id"], "1a7ffc5c-d89c-44dd-8265");
    let again = client.post(EXAMPLE).await;
    let outcome = if journal.is_readable() {
        "duplicate"
    } else {
        "recorded"
    };
    again.expect(200, outcome);
}

/// The state is the last change, not the last arrival.
async fn order(client: &mut Client, journal: Journal) {
    let steps = [
        (2, "Success"),
        (0, "Waitting"),
        (1, "Processing"),
        (2, "Processing"),
    ];
    for (minute, status) in steps {
        let change = Notification {
            app_id: "app".into(),
            task_id: "ordered".into(),
            task_type: "firmwareUpgrade".into(),
            status: status.into(),
            status_desc: format!("{status} ✓"),
            at_ms: BASE_MS + minute * 60_000,
            request_id: None,
        };
        client.post(change.body()).await.expect(200, "recorded");
    }
    if journal.is_readable() {
        let task = client.read("/tasks/app/ordered").await;
        assert_eq!(task["status"], "Success");
        assert_eq!(task["status_desc"], "Success ✓");
        assert_eq!(task["events"], 4);
        assert_eq!(task["first_occurred_at"], "2026-01-31T12:00:00.000Z");
        let history = client.read("/tasks/app/ordered/events").await;
        let statuses = ["Waitting", "Processing", "Processing", "Success"];
        assert_eq!(column(&history["events"], "status"), json!(statuses));
    }
}

/// Returns a member of every item of a list.
pub(crate) fn column(items: &Value, member: &str) -> Value {
    let items = items.as_array().expect("a list").iter();
    items.map(|item| item[member].clone()).collect()
}

async fn problems(client: &mut Client) {
    let sibling = br#"{"resource":"device","event":"create"}"#;
    client.post(b"not JSON").await.expect(400, "not-json");
    let answer = client.post(sibling).await;
    answer.expect(422, "not-a-notification");
    assert_eq!(answer.json()["pointer"], "/resource");
    client.get("/nothing").await.expect(404, "not-found");
    let answer = client.get("/notifications").await;
    answer.expect(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    let answer = client.request("OPTIONS", "/notifications/", &[], b"").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
    let answer = client.request("GET", "/health", &[], b"").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"status":"up"}"#)
    );
    let plain = [("content-type", "text/plain")];
    let answer = client.request("POST", "/notifications", &plain, sibling);
    answer.await.expect(415, "unsupported-media-type");
}

async fn bodies(client: &mut Client, refuses: Refuses) {
    let fits = padded(300_000);
    client.post(&fits).await.expect(200, "recorded");
    // A host that refuses a body before reading it to the end may close the connection
    // without announcing it, so use another connection.
    let longer = padded(MAX_BODY_BYTES + 1);
    let answer = client.another().post(&longer).await;
    answer.expect(413, "body-too-large");
    client.post(b"not JSON").await.expect(400, "not-json");
    let mut another = client.another();
    let answer = another.request("POST", "/nothing", &[], longer.as_bytes());
    let (status, outcome) = match refuses {
        Refuses::Heads => (404, "not-found"),
        Refuses::Bodies => (413, "body-too-large"),
    };
    answer.await.expect(status, outcome);
}

/// Returns a notification of this many bytes.
fn padded(bytes: usize) -> String {
    let mut body = Notification::numbered(bytes as u64).body();
    let rest = bytes - body.len();
    body.push_str(&" ".repeat(rest));
    body
}

async fn reads(client: &mut Client, journal: Journal) {
    let token_missing = client.exchange("GET", "/tasks", &[], b"").await;
    let token_missing = token_missing.expect("an answer");
    if journal == Journal::Discards {
        token_missing.expect(404, "not-found");
        for target in ["/tasks", EXAMPLE_TASK, "/events", "/quarantine", "/"] {
            client.get(target).await.expect(404, "not-found");
        }
        return;
    }
    token_missing.expect(401, "unauthorized");
    let feed = client.get("/events").await;
    if journal == Journal::Feeds {
        feed.expect(200, "read");
        let events = &feed.json()["events"];
        // In order of arrival: the example, then the events that were posted out of order.
        let statuses = [
            "Waitting",
            "Success",
            "Waitting",
            "Processing",
            "Processing",
        ];
        let found = column(events, "status");
        assert_eq!(found.as_array().expect("a list")[..5], statuses);
    } else {
        feed.expect(501, "journal-unsupported");
    }
    if journal == Journal::Forwards {
        for target in ["/tasks", EXAMPLE_TASK, "/quarantine", "/openapi.json"] {
            client.get(target).await.expect(501, "journal-unsupported");
        }
        for page in ["/", "/login", "/page/style.css"] {
            client.get(page).await.expect(404, "not-found");
        }
        return;
    }
    let task = client.read(EXAMPLE_TASK).await;
    assert_eq!(task["events"], 1);
    assert_eq!(task["duplicates"], 1);
    assert_eq!(
        task["request_ids"],
        json!(["3fe58d5e-8697-4849-a165-7db128f7e776"])
    );
    let history = client.read(&format!("{EXAMPLE_TASK}/events")).await;
    assert_eq!(history["events"][0]["body"], EXAMPLE);
    let ordered = client.read("/tasks?q=ORDER").await;
    assert_eq!(column(&ordered["tasks"], "task_id"), json!(["ordered"]));
    client
        .get("/tasks/app/nobody")
        .await
        .expect(404, "not-found");
}

/// Posts a new event while the journal fails, and expects a 503.
pub(crate) async fn is_unavailable(client: &mut Client) -> Answer {
    let answer = client
        .post(Notification::numbered(u64::from(u16::MAX)).body())
        .await;
    answer.expect(503, "journal-unavailable");
    assert!(answer.header("retry-after").is_some());
    answer
}
