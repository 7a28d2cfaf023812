//! Properties of all notifications, times and bodies.

use batchtask_notification::{Event, Flags, Notification, ParseError, Status, TASK_TYPES, time};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// 9999-12-31T23:59:59.999Z
const LAST_MS: u64 = 253_402_300_799_999;

/// The members of a notification; the two times are in milliseconds since 1970.
#[derive(Clone, Debug)]
struct Members {
    app_id: String,
    task_id: String,
    task_type: String,
    status: String,
    status_desc: String,
    event_time: Option<u64>,
    event_time_ms: Option<u64>,
    request_id: Option<String>,
}

const STATUSES: [&str; 8] = [
    "Initializing",
    "Waitting",
    "Processing",
    "Stopping",
    "PartialSuccess",
    "Fail",
    "Success",
    "Stopped",
];

/// Any text, including control characters and all planes of Unicode.
fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn filled_text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..12).prop_map(String::from_iter)
}

fn word(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![select(known).prop_map(String::from), filled_text()]
}

prop_compose! {
    fn members()(
        app_id in filled_text(),
        task_id in filled_text(),
        task_type in word(&TASK_TYPES),
        status in word(&STATUSES),
        status_desc in text(),
        event_time in option::of(0..=LAST_MS),
        event_time_ms in option::of(0..=LAST_MS),
        request_id in option::of(text()),
    ) -> Members {
        Members { app_id, task_id, task_type, status, status_desc, event_time, event_time_ms, request_id }
    }
}

/// Members with at least one time.
fn timed() -> impl Strategy<Value = Members> {
    let has_time = |members: &Members| members.event_time.or(members.event_time_ms).is_some();
    members().prop_filter("no time", has_time)
}

/// Any JSON value.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
        "[0-9]{8}T[0-9]{6}Z".prop_map(Value::from),
        "2015-12-12T12:12:[0-9]{2}(\\.[0-9]{1,4})?Z".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

impl Members {
    fn event_time(&self) -> Option<String> {
        let text = time::rfc3339(self.event_time?);
        Some(text[..19].replace(['-', ':'], "") + "Z")
    }

    fn event_time_ms(&self) -> Option<String> {
        self.event_time_ms.map(time::rfc3339)
    }

    fn print(&self, legacy: bool) -> String {
        let task = json!({
            "app_id": self.app_id,
            "task_id": self.task_id,
            "task_type": self.task_type,
            "status": self.status,
            "status_desc": self.status_desc,
        });
        json!({
            "resource": if legacy { "batchtask.status" } else { "batchtask" },
            "event": "update",
            "event_time": self.event_time(),
            "event_time_ms": self.event_time_ms(),
            "request_id": self.request_id,
            "notify_data": if legacy { task } else { json!({ "body": task }) },
        })
        .to_string()
    }

    fn flags(&self, legacy: bool) -> Flags {
        let mismatch = self
            .event_time
            .zip(self.event_time_ms)
            .is_some_and(|(time, time_ms)| time / 1000 != time_ms / 1000);
        [
            (mismatch, Flags::TIME_MISMATCH),
            (
                !STATUSES.contains(&self.status.as_str()),
                Flags::UNKNOWN_STATUS,
            ),
            (
                !TASK_TYPES.contains(&self.task_type.as_str()),
                Flags::UNKNOWN_TYPE,
            ),
            (legacy, Flags::LEGACY_FORM),
            (self.event_time.is_none(), Flags::NO_EVENT_TIME),
        ]
        .into_iter()
        .filter(|&(holds, _)| holds)
        .fold(Flags::empty(), |all, (_, flag)| all | flag)
    }

    fn event(&self, received_at_ms: u64) -> Event {
        let notification = Notification::parse(self.print(false).as_bytes());
        notification.unwrap().into_event(received_at_ms)
    }
}

/// Writes every character of a JSON text's strings as `\u` escapes.
fn escape(json: &str) -> String {
    fn print(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                *out += &format!("\"{}\"", units.collect::<String>());
            }
            Value::Object(members) => {
                *out += "{";
                for (index, (name, value)) in members.iter().enumerate() {
                    *out += if index > 0 { "," } else { "" };
                    print(&Value::String(name.clone()), out);
                    *out += ":";
                    print(value, out);
                }
                *out += "}";
            }
            other => *out += &other.to_string(),
        }
    }
    let mut out = String::new();
    print(&serde_json::from_str(json).unwrap(), &mut out);
    out
}

/// Texts made of pieces of JSON. Some of them are JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    const PIECES: [&str; 28] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"resource\":",
        "\"batchtask\"",
        "1",
        "-",
        "0.5",
        "1e400",
        "E",
        "true",
        "null",
        " ",
        "\n",
        "\\",
        "\\u",
        "\\ud83d",
        "\\ude00",
        "\\n",
        "\u{1}",
        "é",
        "\u{feff}",
        "/",
    ];
    vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

/// A printed notification with one byte replaced, removed or inserted.
fn nearly_a_notification() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), select(&b"{}[],:\"\\u0e- "[..])];
    (
        members(),
        any::<bool>(),
        any::<prop::sample::Index>(),
        byte,
        0..3,
    )
        .prop_map(|(members, legacy, index, byte, change)| {
            let mut body = members.print(legacy).into_bytes();
            let index = index.index(body.len());
            match change {
                0 => body[index] = byte,
                1 => body.insert(index, byte),
                _ => drop(body.remove(index)),
            }
            body
        })
}

/// Compares with another parser of JSON, which reads all values.
fn agrees_with_serde_json(body: &[u8]) -> Result<(), TestCaseError> {
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let parsed = Notification::parse(body);
    match serde_json::from_slice::<Value>(text) {
        Ok(_) => prop_assert!(
            !matches!(parsed, Err(ParseError::NotJson { .. })),
            "{parsed:?}"
        ),
        // Such a number is valid JSON, although the other parser refuses it.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) => prop_assert!(
            matches!(
                parsed,
                Err(ParseError::NotJson { .. } | ParseError::TooComplex { .. })
            ),
            "{parsed:?}, but {error}"
        ),
    }
    if let Err(ParseError::NotJson { offset, .. } | ParseError::TooComplex { offset, .. }) = parsed
    {
        prop_assert!(offset <= body.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_printed_notification_is_parsed_unchanged(members in timed(), legacy: bool, escaped: bool) {
        let mut body = members.print(legacy);
        if escaped {
            body = escape(&body);
        }
        let parsed = Notification::parse(body.as_bytes()).unwrap();
        prop_assert_eq!(parsed.app_id(), members.app_id.as_str());
        prop_assert_eq!(parsed.task_id(), members.task_id.as_str());
        prop_assert_eq!(parsed.task_type(), members.task_type.as_str());
        prop_assert_eq!(parsed.status(), members.status.as_str());
        prop_assert_eq!(parsed.status_desc(), members.status_desc.as_str());
        prop_assert_eq!(parsed.event_time().map(String::from), members.event_time());
        prop_assert_eq!(parsed.event_time_ms().map(String::from), members.event_time_ms());
        prop_assert_eq!(parsed.request_id(), members.request_id.as_deref());
        prop_assert_eq!(parsed.flags(), members.flags(legacy));
    }

    #[test]
    fn the_request_id_does_not_change_the_event(members in timed(), other in option::of(text()), at: u64) {
        let event = members.event(at);
        let again = Members { request_id: other, ..members }.event(at);
        prop_assert_eq!(event.key(), again.key());
    }

    #[test]
    fn a_dated_event_has_the_same_place_whatever_the_clock_says(members in timed(), one: u64, other: u64) {
        let event = members.event(one);
        prop_assert_eq!(event.key(), members.event(other).key());
        prop_assert_eq!(Some(event.occurred_at_ms), members.event_time_ms.or(members.event_time.map(|at_ms| at_ms / 1000 * 1000)));
        prop_assert_eq!(event.rank, Status::of(&members.status).rank());
    }

    #[test]
    fn an_event_without_a_time_is_dated_by_its_arrival(members in members(), at: u64) {
        let undated = Members { event_time: None, event_time_ms: None, ..members };
        prop_assert_eq!(undated.event(at).occurred_at_ms, at);
    }

    #[test]
    fn no_value_of_an_optional_member_leads_to_a_refusal(
        members in members(),
        legacy: bool,
        values in vec(option::of(json_value()), 4),
        at: u64,
    ) {
        let mut body: Value = serde_json::from_str(&members.print(legacy)).unwrap();
        let task = if legacy { "/notify_data" } else { "/notify_data/body" };
        let places = [("", "event_time"), ("", "event_time_ms"), ("", "request_id"), (task, "status_desc")];
        for ((parent, name), value) in places.into_iter().zip(values) {
            let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
            match value {
                Some(value) => parent.insert(name.into(), value),
                None => parent.remove(name),
            };
        }
        let parsed = Notification::parse(body.to_string().as_bytes());
        let event = parsed.unwrap().into_event(at);
        prop_assert_eq!(event.status, members.status);
        let kept = [event.event_time, event.event_time_ms, event.request_id];
        for (name, kept) in ["event_time", "event_time_ms", "request_id"].into_iter().zip(kept) {
            let expected = match &body[name] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            prop_assert_eq!(kept, expected);
        }
    }

    #[test]
    fn the_state_does_not_depend_on_the_order_of_arrival(
        (events, shuffled) in vec((timed(), any::<u64>()), 1..8).prop_flat_map(|members| {
            let events: Vec<Event> = members.iter().map(|(members, at)| members.event(*at)).collect();
            let doubled = [events.clone(), events.clone()].concat();
            (Just(events), Just(doubled).prop_shuffle())
        })
    ) {
        let greatest = |events: &[Event]| {
            let mut state = events[0].clone();
            for event in events {
                if event.key() > state.key() {
                    state = event.clone();
                }
            }
            (state.key(), state.status)
        };
        prop_assert_eq!(greatest(&events), greatest(&shuffled));
    }

    #[test]
    fn times_round_trip(at_ms in 0..=LAST_MS) {
        let text = time::rfc3339(at_ms);
        prop_assert_eq!(time::parse_milliseconds(&text), Some(at_ms));
        let compact = text[..19].replace(['-', ':'], "") + "Z";
        prop_assert_eq!(time::parse_seconds(&compact), Some(at_ms / 1000 * 1000));
    }

    #[test]
    fn a_time_has_one_text(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{3}Z") {
        if let Some(at_ms) = time::parse_milliseconds(&text) {
            prop_assert_eq!(time::rfc3339(at_ms), text);
        }
    }

    #[test]
    fn any_bytes_can_be_parsed(body in vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&body)?;
    }

    #[test]
    fn nearly_json_is_json_or_not(body in nearly_json()) {
        agrees_with_serde_json(body.as_bytes())?;
    }

    #[test]
    fn a_damaged_notification_is_json_or_not(body in nearly_a_notification()) {
        agrees_with_serde_json(&body)?;
    }
}
