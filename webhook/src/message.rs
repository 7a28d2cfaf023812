//! The messages to post: CloudEvents 1.0, JSON, in structured mode or in binary mode.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use batchtask_guest::journal::{Event, Reject, StoredEvent, source_name};
use batchtask_guest::json::Object;
use batchtask_guest::percent::{UNRESERVED, encode};
use batchtask_notification::time::rfc3339;
use batchtask_notification::{Class, Flags, hex, push_decimal};
use sha2::{Digest, Sha256};

/// The media type of a message in structured mode.
pub const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The version of CloudEvents.
const SPEC_VERSION: &str = "1.0";

/// The printable bytes, besides letters and digits, that stay as they are in a header
/// field of binary mode (CloudEvents HTTP binding, 3.1.3.2).
const FIELD_UNESCAPED: &[u8] = b"!#$&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// The number of digits of the greatest `seq`.
const SEQUENCE_DIGITS: usize = 20;

/// The CloudEvents type of an event.
pub const EVENT_TYPE: &str = "batchtask.update";
const REJECT_TYPE: &str = "batchtask.reject";
/// The CloudEvents type of a test.
pub const TEST_TYPE: &str = "batchtask.test";
/// The CloudEvents type of alerts.
pub const ALERT_TYPE: &str = "batchtask.alert";

/// A message to post.
pub struct Message {
    /// The value of `webhook-id`. If the same event arrives again, it has the
    /// same id.
    pub id: String,
    /// The value of `webhook-timestamp`: when the notification arrived, in
    /// seconds since 1970.
    pub timestamp_s: u64,
    /// The body.
    pub body: Vec<u8>,
}

/// The trace that an event came with: the values of the extensions `traceparent` and
/// `tracestate`.
#[derive(Clone, Copy)]
pub struct Trace<'a> {
    /// The ids of the trace and of the span that received the event.
    pub parent: &'a str,
    /// What other tracing systems added.
    pub state: Option<&'a str>,
}

/// Returns the message for an event.
pub fn of_event(event: &Event) -> Message {
    structured(event, None, None)
}

/// Returns the message for an event of a journal, with its `seq` as the extension
/// `sequence`, and its trace.
pub fn of_stored(stored: &StoredEvent, trace: Option<Trace<'_>>) -> Message {
    structured(&stored.event, Some(stored.seq), trace)
}

/// Returns the header fields of an event in binary mode. Its body is that of the
/// notification, byte for byte.
pub fn binary_fields(
    stored: &StoredEvent,
    trace: Option<Trace<'_>>,
) -> Vec<(&'static str, String)> {
    let event = &stored.event;
    let mut fields = Vec::from([
        ("content-type", "application/json".into()),
        ("ce-specversion", SPEC_VERSION.into()),
        ("ce-id", hex(&event.digest)),
        ("ce-source", source(event)),
        ("ce-type", EVENT_TYPE.into()),
        ("ce-time", rfc3339(event.occurred_at_ms)),
        ("ce-subject", encode(&event.task_id, FIELD_UNESCAPED)),
        ("ce-sequence", sequence(stored.seq)),
    ]);
    if let Some(trace) = trace {
        fields.push(("ce-traceparent", trace.parent.into()));
        let state = trace.state;
        fields.extend(state.map(|state| ("ce-tracestate", encode(state, FIELD_UNESCAPED))));
    }
    fields
}

/// Returns a `seq` as the extension `sequence`, a text whose order is that of the
/// numbers.
fn sequence(seq: u64) -> String {
    let mut digits = String::new();
    push_decimal(&mut digits, seq);
    let zeros = SEQUENCE_DIGITS.saturating_sub(digits.len());
    ["0".repeat(zeros), digits].concat()
}

fn source(event: &Event) -> String {
    let mut source = String::from("/apps/");
    source.push_str(&encode(&event.app_id, UNRESERVED));
    source
}

fn structured(event: &Event, seq: Option<u64>, trace: Option<Trace<'_>>) -> Message {
    let id = hex(&event.digest);
    let body = Object::text_of(|json| {
        attributes(json, &id, &source(event), EVENT_TYPE, event.occurred_at_ms);
        json.text("subject", &event.task_id);
        json.text_if_any("sequence", seq.map(sequence).as_deref());
        json.text_if_any("traceparent", trace.map(|trace| trace.parent));
        json.text_if_any("tracestate", trace.and_then(|trace| trace.state));
        json.object("data", |json| {
            json.text("app_id", &event.app_id);
            json.text("task_id", &event.task_id);
            json.text("task_type", &event.task_type);
            json.text("status", &event.status);
            json.text("status_desc", &event.status_desc);
            json.text("class", Class::of_rank(event.rank).name());
            json.text_or_null("event_time", event.event_time.as_deref());
            json.text_or_null("event_time_ms", event.event_time_ms.as_deref());
            json.text_or_null("request_id", event.request_id.as_deref());
            json.text("occurred_at", &rfc3339(event.occurred_at_ms));
            json.text("received_at", &rfc3339(event.received_at_ms));
            json.text("source", source_name(event.source));
            json.text_or_null("signature", event.signature.as_deref());
            let flags = Flags::from_bits_truncate(event.flags.bits());
            json.texts("flags", &flags.names().collect::<Vec<_>>());
            json.text("body", &String::from_utf8_lossy(&event.body));
        });
    });
    Message {
        id,
        timestamp_s: seconds(event.received_at_ms),
        body,
    }
}

/// Returns a message that reports nothing, to test an endpoint.
pub fn of_test(now_ms: u64) -> Message {
    let mut id = String::from("test-");
    push_decimal(&mut id, now_ms);
    let body = Object::text_of(|json| {
        attributes(json, &id, "/test", TEST_TYPE, now_ms);
        json.object("data", |json| {
            json.text("message", "This is a test. Nothing has happened.");
        });
    });
    Message {
        id,
        timestamp_s: seconds(now_ms),
        body,
    }
}

/// Returns the message for alerts. `data` writes the members of its data. The same alerts
/// must have the same `id`.
pub fn of_alerts(id: &str, now_ms: u64, data: impl FnOnce(&mut Object)) -> Message {
    let body = Object::text_of(|json| {
        attributes(json, id, "/alerts", ALERT_TYPE, now_ms);
        json.object("data", data);
    });
    Message {
        id: id.into(),
        timestamp_s: seconds(now_ms),
        body,
    }
}

/// Returns the message for a reject.
pub fn of_reject(reject: &Reject) -> Message {
    let id = hex(&Sha256::digest(&reject.body));
    let body = Object::text_of(|json| {
        attributes(json, &id, "/quarantine", REJECT_TYPE, reject.received_at_ms);
        json.object("data", |json| {
            json.text("reason", &reject.reason);
            json.text("detail", &reject.detail);
            json.text_or_null("pointer", reject.pointer.as_deref());
            json.text("received_at", &rfc3339(reject.received_at_ms));
            match core::str::from_utf8(&reject.body) {
                Ok(text) => json.text("body", text),
                Err(_) => json.text("body_base64", &Base64::encode_string(&reject.body)),
            }
        });
    });
    Message {
        id,
        timestamp_s: seconds(reject.received_at_ms),
        body,
    }
}

fn attributes(json: &mut Object, id: &str, source: &str, r#type: &str, at_ms: u64) {
    json.text("specversion", SPEC_VERSION);
    json.text("id", id);
    json.text("source", source);
    json.text("type", r#type);
    json.text("time", &rfc3339(at_ms));
    json.text("datacontenttype", "application/json");
}

fn seconds(ms: u64) -> u64 {
    ms.checked_div(1000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use batchtask_guest::journal::{EventFlags, Source};
    use serde_json::{Value, json};

    fn event() -> Event {
        Event {
            app_id: "a/b ü".into(),
            task_id: "t".into(),
            task_type: "softwareUpgrade".into(),
            status: "Fail".into(),
            status_desc: "\"quoted\"\n".into(),
            event_time: Some("20151212T121212Z".into()),
            event_time_ms: None,
            request_id: None,
            digest: vec![0xab; 32],
            occurred_at_ms: 1_449_922_332_000,
            rank: 4,
            received_at_ms: 1_449_922_333_999,
            signature: None,
            source: Source::Amqp,
            flags: EventFlags::LEGACY_FORM,
            body: b"{}".into(),
        }
    }

    #[test]
    fn an_event() {
        let message = of_event(&event());
        assert_eq!(message.id, "ab".repeat(32));
        assert_eq!(message.timestamp_s, 1_449_922_333);
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        let expected = json!({
            "specversion": "1.0",
            "id": "ab".repeat(32),
            "source": "/apps/a%2Fb%20%C3%BC",
            "type": "batchtask.update",
            "time": "2015-12-12T12:12:12.000Z",
            "datacontenttype": "application/json",
            "subject": "t",
            "data": {
                "app_id": "a/b ü",
                "task_id": "t",
                "task_type": "softwareUpgrade",
                "status": "Fail",
                "status_desc": "\"quoted\"\n",
                "class": "retryable",
                "event_time": "20151212T121212Z",
                "event_time_ms": null,
                "request_id": null,
                "occurred_at": "2015-12-12T12:12:12.000Z",
                "received_at": "2015-12-12T12:12:13.999Z",
                "source": "amqp",
                "signature": null,
                "flags": ["legacy_form"],
                "body": "{}",
            },
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_stored_event_has_its_number() {
        let stored = StoredEvent {
            seq: 42,
            event: event(),
            late: false,
            duplicates: 0,
            request_ids: Vec::new(),
        };
        let body = of_stored(&stored, None).body;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["sequence"], "00000000000000000042");
        assert_eq!(body.get("traceparent"), None);
        let stored = StoredEvent {
            event: Event {
                task_id: "50 % \"ü\"".into(),
                ..event()
            },
            ..stored
        };
        let fields = binary_fields(&stored, None);
        let field = |name| {
            let mut fields = fields.iter();
            let found = fields.find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(field("ce-id"), Some(&*"ab".repeat(32)));
        assert_eq!(field("ce-source"), Some("/apps/a%2Fb%20%C3%BC"));
        assert_eq!(field("ce-subject"), Some("50%20%25%20%22%C3%BC%22"));
        assert_eq!(field("ce-sequence"), Some("00000000000000000042"));
        assert!(fields.iter().all(|(_, value)| value.is_ascii()));
    }

    #[test]
    fn a_traced_event_has_its_trace() {
        let stored = StoredEvent {
            seq: 42,
            event: event(),
            late: false,
            duplicates: 0,
            request_ids: Vec::new(),
        };
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for state in [None, Some("a=50 %")] {
            let trace = Some(Trace { parent, state });
            let body = of_stored(&stored, trace).body;
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["traceparent"], parent);
            assert_eq!(body.get("tracestate"), state.map(Value::from).as_ref());
            let fields = binary_fields(&stored, trace);
            assert!(fields.contains(&("ce-traceparent", parent.into())));
            let encoded = ("ce-tracestate", "a=50%20%25".into());
            assert_eq!(fields.contains(&encoded), state.is_some());
        }
    }

    #[test]
    fn a_test_reports_nothing() {
        let message = of_test(1_449_922_333_999);
        assert_eq!(message.id, "test-1449922333999");
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["type"], "batchtask.test");
        assert_eq!(body["time"], "2015-12-12T12:12:13.999Z");
    }

    #[test]
    fn alerts_are_data() {
        let message = of_alerts("a1", 1_449_922_333_999, |json| json.number("count", 3));
        assert_eq!(message.id, "a1");
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["type"], "batchtask.alert");
        assert_eq!(body["id"], "a1");
        assert_eq!(body["data"], json!({ "count": 3 }));
    }

    #[test]
    fn the_id_does_not_depend_on_the_arrival() {
        let again = Event {
            received_at_ms: 1,
            request_id: Some("r".into()),
            ..event()
        };
        assert_eq!(of_event(&again).id, of_event(&event()).id);
    }

    #[test]
    fn a_reject_is_text_or_base64() {
        for (bytes, member, expected) in [
            (&b"not json"[..], "body", "not json"),
            (&[0xff][..], "body_base64", "/w=="),
        ] {
            let reject = Reject {
                received_at_ms: 0,
                reason: "not-json".into(),
                detail: "d".into(),
                pointer: None,
                body: bytes.into(),
            };
            let body: Value = serde_json::from_slice(&of_reject(&reject).body).unwrap();
            assert_eq!(body["type"], "batchtask.reject");
            assert_eq!(body["data"][member], expected);
        }
    }
}
