//! Collections of resources, and their pages.

use serde_json::{Map, Value, json};

use super::APP;
use super::refusal::Refusal;
use super::tasks::FakeTask;

/// Where the position of a page stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Top,
    InPage,
}

/// Resources of one kind, from the oldest to the newest.
pub(crate) struct Collection {
    pub(super) kind: &'static str,
    pub(super) id_name: &'static str,
    pub(super) items_name: &'static str,
    pub(super) shape: Shape,
    pub(super) quota: usize,
    pub(crate) items: Vec<Value>,
}

/// Everything that is kept.
pub(crate) struct Store {
    pub(crate) rules: Collection,
    pub(crate) actions: Collection,
    pub(crate) certificates: Collection,
    pub(crate) queues: Collection,
    pub(crate) backlogs: Collection,
    pub(crate) flows: Collection,
    pub(crate) apps: Vec<Value>,
    pub(crate) tasks: Vec<FakeTask>,
    /// How many access codes were created.
    pub(crate) access_codes: u64,
    next_id: u64,
}

/// The parameters of a query.
pub(super) type Query = Vec<(String, String)>;

impl Store {
    pub(super) fn new() -> Self {
        let collection = |kind, id_name, items_name, shape, quota| Collection {
            kind,
            id_name,
            items_name,
            shape,
            quota,
            items: Vec::new(),
        };
        Self {
            rules: collection("rule", "rule_id", "rules", Shape::Top, 200),
            actions: collection("action", "action_id", "actions", Shape::Top, 200),
            certificates: collection(
                "certificate",
                "certificate_id",
                "certificates",
                Shape::InPage,
                100,
            ),
            queues: collection("queue", "queue_id", "queues", Shape::InPage, 100),
            backlogs: collection("policy", "policy_id", "backlog_policies", Shape::Top, 1),
            flows: collection("policy", "policy_id", "flowcontrol_policies", Shape::Top, 4),
            apps: vec![json!({"app_id": APP, "app_name": "trial"})],
            tasks: Vec::new(),
            access_codes: 0,
            next_id: 1,
        }
    }

    /// Returns a number that was not returned before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Returns all collections, with each id replaced by what it stands for, and
    /// without empty members.
    pub(super) fn content(&self) -> Value {
        let all = [&self.rules, &self.actions, &self.certificates, &self.queues];
        let mut content = Map::new();
        for collection in all {
            let mut items: Vec<Value> = collection.items.iter().map(shown).collect();
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.retain(|_, value| value != "");
            }
            content.insert(collection.items_name.into(), items.into());
        }
        let mut text = Value::Object(content).to_string();
        for collection in all {
            for (place, item) in collection.items.iter().enumerate() {
                let id = item[collection.id_name].as_str().unwrap();
                text = text.replace(id, &format!("{} {place}", collection.kind));
            }
        }
        serde_json::from_str(&text).unwrap()
    }
}

impl Collection {
    /// Adds a resource, and returns it with its id.
    pub(super) fn add(
        &mut self,
        number: u64,
        mut item: Map<String, Value>,
    ) -> Result<Value, Refusal> {
        if self.items.len() >= self.quota {
            return Err(Refusal::new(
                400,
                "IOTDA.010003",
                format!("The number of {}s exceeds the limit.", self.kind),
            ));
        }
        item.insert(
            self.id_name.into(),
            format!("1a7ffc5c-0000-4000-8000-{number:012x}").into(),
        );
        item.insert("marker_of_the_fake".into(), format!("{number:024x}").into());
        self.items.push(Value::Object(item));
        Ok(shown(self.items.last().unwrap()))
    }

    /// Adds a resource behind the platform's back.
    pub(crate) fn add_for_test(&mut self, number: u64, item: Value) {
        let added = self.add(number, item.as_object().unwrap().clone());
        assert!(added.is_ok());
    }

    /// Removes a resource behind the platform's back.
    pub(crate) fn remove_for_test(&mut self, id: &str) {
        assert!(self.remove(id).is_ok());
    }

    pub(super) fn find(&mut self, id: &str) -> Result<&mut Value, Refusal> {
        let (name, kind) = (self.id_name, self.kind);
        let found = self.items.iter_mut().find(|item| item[name] == id);
        found.ok_or_else(|| Refusal::not_found(kind))
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), Refusal> {
        self.find(id)?;
        let name = self.id_name;
        self.items.retain(|item| item[name] != id);
        Ok(())
    }

    /// Returns a page of the resources that match.
    pub(super) fn list(&self, query: &Query, fields: &[&str]) -> Result<Value, Refusal> {
        let matches = |item: &&Value| {
            fields.iter().all(|field| match parameter(query, field) {
                Some(wanted) => text_of(item, field).contains(wanted),
                None => true,
            })
        };
        let items: Vec<&Value> = self.items.iter().filter(matches).collect();
        page(items, query, self.items_name, self.shape)
    }
}

/// Returns a resource as the platform shows it.
pub(super) fn shown(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(item) = item.as_object_mut() {
        item.remove("marker_of_the_fake");
        item.remove("content");
    }
    item
}

pub(super) fn parameter<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

/// The text of a field, which may be within the subject.
fn text_of(item: &Value, field: &str) -> String {
    match item
        .get(field)
        .or_else(|| item.pointer(&format!("/subject/{field}")))
    {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Returns a page of items, which are from the oldest to the newest. A page is
/// from the newest to the oldest.
pub(super) fn page(
    mut items: Vec<&Value>,
    query: &Query,
    name: &str,
    shape: Shape,
) -> Result<Value, Refusal> {
    let limit = number(query, "limit", 1..=50, 10)?;
    let offset = number(query, "offset", 0..=500, 0)?;
    let newest = "f".repeat(24);
    let marker = parameter(query, "marker").unwrap_or(&newest);
    if marker.len() != 24 || !marker.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(Refusal::input("marker"));
    }
    let count = items.len();
    items.reverse();
    let marker_of = |item: &Value| item["marker_of_the_fake"].as_str().unwrap().to_owned();
    items.retain(|item| marker_of(item).as_str() < marker);
    let items: Vec<&Value> = items.into_iter().skip(offset).take(limit).collect();
    let marker = items.last().map_or(newest.clone(), |item| marker_of(item));
    let items: Vec<Value> = items.into_iter().map(shown).collect();
    let mut body = match shape {
        Shape::Top => json!({"count": count, "marker": marker}),
        Shape::InPage => json!({"page": {"count": count, "marker": marker}}),
    };
    body[name] = items.into();
    Ok(body)
}

fn number(
    query: &Query,
    name: &str,
    range: std::ops::RangeInclusive<usize>,
    default: usize,
) -> Result<usize, Refusal> {
    let Some(text) = parameter(query, name) else {
        return Ok(default);
    };
    let parsed = text.parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| {
        let message = format!("Invalid input. The specified parameter '{name}' is out of range.");
        Refusal::new(400, "IOTDA.000017", message)
    })
}
