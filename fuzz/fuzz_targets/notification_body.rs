//! Any body: it is JSON exactly if another parser accepts it, and the members of an
//! accepted notification are those that the other parser finds.
#![no_main]

use batchtask_notification::{Class, Flags, Notification, ParseError, Status, time};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let parsed = Notification::parse(body);
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => match &parsed {
            Ok(notification) => same(notification, &value),
            Err(error) => refused(error, body.len(), &value),
        },
        // Such a number is valid JSON, but the other parser refuses it.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(error) => assert!(
            matches!(
                parsed,
                Err(ParseError::NotJson { offset, .. } | ParseError::TooComplex { offset, .. }) if offset <= body.len()
            ),
            "{error}, but {parsed:?}"
        ),
    }
    if let Ok(notification) = parsed {
        ordered(notification);
    }
});

fn refused(error: &ParseError, length: usize, value: &Value) {
    assert!(!error.detail().is_empty());
    match error {
        ParseError::NotJson { .. } => panic!("{error}, but it is JSON"),
        ParseError::TooComplex { offset, .. } => assert!(*offset < length),
        ParseError::Invalid { pointer, .. } => {
            // The pointer leads to the member, or to the object that lacks it.
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            assert!(value.pointer(pointer).or(value.pointer(parent)).is_some());
        }
        ParseError::DeadLetter(_) => assert!(value["base64_original_payload"].is_string()),
    }
}

fn same(notification: &Notification, value: &Value) {
    if value["resource"].is_null() {
        assert!(value["base64_original_payload"].is_string());
        return;
    }
    let legacy = value["resource"] == "batchtask.status";
    assert_eq!(notification.flags().contains(Flags::LEGACY_FORM), legacy);
    let task = if legacy {
        &value["notify_data"]
    } else {
        &value["notify_data"]["body"]
    };
    assert_eq!(task["app_id"], notification.app_id());
    assert_eq!(task["task_id"], notification.task_id());
    assert_eq!(task["task_type"], notification.task_type());
    assert_eq!(task["status"], notification.status());
    kept(&task["status_desc"], Some(notification.status_desc()));
    kept(&value["event_time"], notification.event_time());
    kept(&value["event_time_ms"], notification.event_time_ms());
    kept(&value["request_id"], notification.request_id());
}

/// Checks that a text is stored as it is, and any other value as its JSON.
fn kept(value: &Value, kept: Option<&str>) {
    match value {
        Value::Null => assert!(kept.is_none_or(str::is_empty)),
        Value::String(text) => assert_eq!(kept, Some(text.as_str())),
        other => {
            let kept = kept.expect("it is there");
            assert_eq!(serde_json::from_str::<Value>(kept).unwrap(), *other);
        }
    }
}

fn ordered(notification: Notification) {
    let rank = Status::of(notification.status()).rank();
    let times = [notification.event_time_ms(), notification.event_time()];
    let dated_ms = times.into_iter().flatten().find_map(time::parse);
    let late = notification.clone().into_event(u64::MAX);
    let early = notification.into_event(0);
    assert_eq!(late.digest, early.digest);
    assert_eq!((late.rank, early.rank), (rank, rank));
    assert!(Class::of_rank(rank).ranks().contains(&rank));
    assert!(!late.flags.contains(Flags::CLOCK_SKEW));
    assert_eq!(late.occurred_at_ms, dated_ms.unwrap_or(u64::MAX));
    assert_eq!(early.occurred_at_ms, dated_ms.unwrap_or(0));
}
