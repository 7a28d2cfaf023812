//! [`Ledger`]: the acknowledged events, to compare with the journal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::watch;

use super::client::Client;

/// Every event that was answered with 200, by its `status_desc`, with its body.
pub(crate) struct Ledger {
    acknowledged: Mutex<HashMap<String, String>>,
    count: watch::Sender<usize>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            acknowledged: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    pub(crate) fn acknowledge(&self, status_desc: String, body: String) {
        let mut acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.insert(status_desc, body);
        self.count.send_replace(acknowledged.len());
    }

    pub(crate) fn len(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until this many events were acknowledged.
    pub(crate) async fn reaches(&self, count: usize) {
        let mut seen = self.count.subscribe();
        let reached = seen.wait_for(|seen| *seen >= count);
        let reached = tokio::time::timeout(super::PATIENCE, reached).await;
        reached.expect("the host acknowledges").expect("it counts");
    }

    /// Checks that the journal has every event of the ledger, verbatim, and no event
    /// twice. Returns how many events of the journal are not in the ledger.
    pub(crate) async fn check(&self, client: &mut Client) -> usize {
        let mut stored = HashMap::new();
        for event in all_events(client).await {
            match stored.entry(text(&event, "status_desc")) {
                Entry::Vacant(vacant) => vacant.insert(text(&event, "body")),
                Entry::Occupied(twice) => panic!("`{}` is stored twice", twice.key()),
            };
        }
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for (status_desc, body) in &acknowledged {
            let found = stored.get(status_desc);
            assert_eq!(
                found,
                Some(body),
                "`{status_desc}` was acknowledged but not found; {} stored, {} acknowledged",
                stored.len(),
                acknowledged.len()
            );
        }
        let tasks = all_tasks(client).await;
        let counted: u64 = tasks
            .iter()
            .filter_map(|task| task["events"].as_u64())
            .sum();
        assert_eq!(counted, stored.len() as u64, "tasks count their events");
        stored.len() - acknowledged.len()
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().expect("a string").to_owned()
}

/// Reads all events, in order of arrival.
pub(crate) async fn all_events(client: &mut Client) -> Vec<Value> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let target = format!("/events?after={after}&limit=500");
        let page = client.read(&target).await;
        let found = page["events"].as_array().expect("a list");
        if found.is_empty() {
            return events;
        }
        for event in found {
            let seq = event["seq"].as_u64().expect("a number");
            assert!(seq > after, "sequence numbers grow");
            after = seq;
        }
        assert_eq!(page["last_seq"], after);
        events.extend_from_slice(found);
    }
}

/// Reads all tasks, newest first.
pub(crate) async fn all_tasks(client: &mut Client) -> Vec<Value> {
    all_pages(client, "/tasks?limit=500", "tasks").await
}

/// Reads all pages of a resource, and joins their lists `member`.
pub(crate) async fn all_pages(client: &mut Client, target: &str, member: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(page_target) = next {
        let page = client.read(&page_target).await;
        items.extend_from_slice(page[member].as_array().expect("a list"));
        let cursor = page["next"].as_str();
        next = cursor.map(|cursor| format!("{target}&cursor={cursor}"));
    }
    items
}
