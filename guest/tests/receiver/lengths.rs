//! Lists and pages have a bounded length, however long their content is.

use batchtask_guest::bindings::exports::batchtask::receiver::intake::{Request, Response};
use batchtask_guest::json::LIST_BYTES_MAX;
use batchtask_guest::receiver::Receiver;
use batchtask_guest::settings::Settings;
use batchtask_journal::MemoryJournal;
use serde_json::{Value, json};

use crate::support::{request, settings};

const TOKEN: &str = "tokentokentokentoken";

/// The greatest length of a body with the default settings, in bytes.
const BODY_BYTES_MAX: usize = 1_572_864;

/// The greatest length of an answer, in bytes: the list before its last item,
/// and the last item, which is at most three times as long as its body.
const ANSWER_BYTES_MAX: usize = LIST_BYTES_MAX + 3 * BODY_BYTES_MAX;

struct Host {
    journal: MemoryJournal,
    settings: Settings,
}

impl Host {
    fn new() -> Self {
        Self {
            journal: MemoryJournal::default(),
            settings: settings(&[
                ("BATCHTASK_READ_TOKEN", TOKEN),
                ("BATCHTASK_UNPROCESSABLE", "accept"),
            ]),
        }
    }

    fn exchange(&self, request: Request) -> Response {
        let receiver = Receiver {
            journal: &self.journal,
            settings: &self.settings,
            now_ms: 1_604_458_421_000,
        };
        receiver.exchange(request)
    }

    #[track_caller]
    fn post(&self, body: &str) {
        assert!(body.len() <= BODY_BYTES_MAX);
        let response = self.exchange(request("POST", "/notifications", &[], body));
        assert_eq!(response.status, 200, "{:?}", response.report);
    }

    #[track_caller]
    fn get(&self, target: &str) -> Vec<u8> {
        let bearer = format!("Bearer {TOKEN}");
        let response = self.exchange(request("GET", target, &[("authorization", &bearer)], ""));
        assert_eq!(response.status, 200, "{target}");
        let length = response.body.len();
        assert!(length <= ANSWER_BYTES_MAX, "{target}: {length} bytes");
        response.body
    }

    fn json(&self, target: &str) -> Value {
        serde_json::from_slice(&self.get(target)).unwrap()
    }

    /// Every item of a list, page by page.
    fn all(&self, path: &str, member: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.json(&format!("{path}?limit=500{cursor}"));
            items.extend(page[member].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Every event, page by page.
    fn feed(&self) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.json(&format!("/events?limit=500&after={after}"));
            let new = page["events"].as_array().unwrap();
            if new.is_empty() {
                return events;
            }
            events.extend(new.iter().cloned());
            after = page["last_seq"].as_u64().unwrap();
        }
    }
}

fn notification(task_id: &str, status: &str, status_desc: &str) -> String {
    json!({"resource": "batchtask", "event": "update", "event_time": "20151212T121212Z",
        "notify_data": {"body": {"app_id": "a", "task_id": task_id, "task_type": "t",
        "status": status, "status_desc": status_desc}}})
    .to_string()
}

#[test]
fn long_descriptions_are_complete_and_in_pages() {
    let host = Host::new();
    let long = "\u{1}".repeat(255_000);
    for task in ["1", "2", "3", "4", "5"] {
        host.post(&notification(task, "Fail", &long));
    }
    host.post(&notification("5", "Success", &long));
    let whole = |items: Vec<Value>| {
        assert!(items.iter().all(|item| item["status_desc"] == long));
        items.len()
    };
    assert_eq!(whole(host.all("/tasks", "tasks")), 5);
    assert_eq!(whole(host.all("/tasks/a/5/events", "events")), 2);
    assert_eq!(whole(host.feed()), 6);
    assert!(host.get("/").len() < 100_000);
    assert!(host.get("/page/tasks/a/5").len() < 100_000);
}

#[test]
fn long_names_are_complete_in_json_and_short_on_pages() {
    for character in ["'", "\"", "\u{1}", "😀"] {
        let host = Host::new();
        let escaped = json!(character).to_string().len() - 2;
        let long = character.repeat(730_000 / escaped);
        host.post(&notification(&long, "Fail", ""));
        host.post(&notification("t", &long, ""));
        host.post(&notification("t", "Success", &long));
        let tasks = host.all("/tasks", "tasks");
        assert!(tasks.iter().any(|task| task["task_id"] == *long));
        assert!(host.feed().iter().any(|event| event["status"] == *long));
        for page in ["/", "/page/tasks/a/t"] {
            let length = host.get(page).len();
            assert!(length < 100_000, "{page}: {length} bytes");
        }
        assert!(host.get("/summary").len() < 10_000);
    }
}

#[test]
fn long_rejects_are_complete_and_in_pages() {
    let bodies = [
        "\u{1}".repeat(820_000),
        "\"".repeat(BODY_BYTES_MAX),
        "é".repeat(780_000),
    ];
    let host = Host::new();
    for body in bodies.iter().chain(&bodies) {
        host.post(body);
    }
    let rejects = host.all("/quarantine", "rejects");
    assert_eq!(rejects.len(), 6);
    for (reject, body) in rejects.iter().rev().zip(bodies.iter().chain(&bodies)) {
        assert_eq!(reject["bytes"], body.len());
        match reject["body"].as_str() {
            Some(text) => assert_eq!(text, body),
            // As escaped text it would be six times as long.
            None => assert_eq!(
                reject["body_base64"],
                batchtask_notification::base64(body.as_bytes())
            ),
        }
    }
    assert!(host.get("/page/quarantine").len() < 100_000);
}

#[test]
fn a_list_of_short_items_is_one_page() {
    let host = Host::new();
    for task in 0..500 {
        host.post(&notification(&task.to_string(), "Fail", ""));
    }
    let page = host.json("/tasks?limit=500");
    assert_eq!(page["tasks"].as_array().unwrap().len(), 500);
}
