use super::*;
use crate::error::Found;
use base64ct::Encoding as _;
use serde_json::{Value, json};
use std::string::ToString;

/// The example on the platform's page.
const EXAMPLE: &str = include_str!("../../../tests/samples/seed-example.json");

/// The example with one member replaced, or removed.
fn example_with(pointer: &str, value: Option<Value>) -> Value {
    let mut example: Value = serde_json::from_str(EXAMPLE).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = example
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap();
    match value {
        Some(value) => parent.insert(name.into(), value),
        None => parent.remove(name),
    };
    example
}

fn legacy() -> Value {
    json!({
        "resource": "batchtask.status",
        "event": "update",
        "notify_data": {
            "app_id": "a", "task_id": "t", "task_type": "firmwareUpgrade",
            "status": "Fail", "status_desc": ""
        }
    })
}

fn dead_letter(message: impl ToString) -> Value {
    let payload = base64ct::Base64::encode_string(message.to_string().as_bytes());
    json!({"request_id": "r", "rule_id": "u", "channel": "HTTP_FORWARDING", "base64_original_payload": payload})
}

fn parse(value: impl ToString) -> Result<Notification, ParseError> {
    Notification::parse(value.to_string().as_bytes())
}

fn flags(value: impl ToString) -> Flags {
    parse(value).unwrap().flags()
}

#[track_caller]
fn assert_invalid(value: impl ToString, at: &str, but_found: &Found) {
    match parse(value) {
        Err(ParseError::Invalid { pointer, found, .. }) => {
            assert_eq!((pointer, &found), (at, but_found));
        }
        other => panic!("{at}: {other:?}"),
    }
}

const STRINGS: [&str; 7] = [
    "/resource",
    "/event",
    "/notify_data/body/app_id",
    "/notify_data/body/task_id",
    "/notify_data/body/task_type",
    "/notify_data/body/status",
    "/notify_data/body/status_desc",
];

#[test]
fn the_documented_example() {
    let notification = parse(EXAMPLE).unwrap();
    assert_eq!(
        notification.app_id(),
        "1a7ffc5c-d89c-44dd-8265-b1653d951ce0"
    );
    assert_eq!(notification.task_id(), "1a7ffc5c-d89c-44dd-8265");
    assert_eq!(notification.task_type(), "softwareUpgrade");
    assert_eq!(notification.status(), "Waitting");
    assert_eq!(notification.status_desc(), "status_desc");
    assert_eq!(notification.event_time(), Some("20151212T121212Z"));
    assert_eq!(
        notification.event_time_ms(),
        Some("2015-12-12T12:12:12.000Z")
    );
    assert_eq!(
        notification.request_id(),
        Some("3fe58d5e-8697-4849-a165-7db128f7e776")
    );
    assert_eq!(notification.flags(), Flags::empty());
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    assert_eq!(parse("\u{feff}".to_string() + EXAMPLE), parse(EXAMPLE));
}

#[test]
fn mandatory_strings() {
    for pointer in STRINGS {
        assert_invalid(example_with(pointer, None), pointer, &Found::Nothing);
        for (value, found) in [
            (json!(null), Found::Null),
            (json!(true), Found::Boolean),
            (json!(7), Found::Number),
            (json!(["update"]), Found::Array),
            (json!({}), Found::Object),
        ] {
            assert_invalid(example_with(pointer, Some(value)), pointer, &found);
        }
    }
}

#[test]
fn what_may_be_empty() {
    let (status_desc, others) = STRINGS.split_last().unwrap();
    for pointer in others {
        assert_invalid(
            example_with(pointer, Some(json!(""))),
            pointer,
            &Found::Text("".into()),
        );
    }
    let notification = parse(example_with(status_desc, Some(json!("")))).unwrap();
    assert_eq!(notification.status_desc(), "");
}

#[test]
fn mandatory_objects() {
    for pointer in ["/notify_data", "/notify_data/body"] {
        assert_invalid(example_with(pointer, None), pointer, &Found::Nothing);
        assert_invalid(
            example_with(pointer, Some(json!(null))),
            pointer,
            &Found::Null,
        );
        assert_invalid(
            example_with(pointer, Some(json!([]))),
            pointer,
            &Found::Array,
        );
    }
    for (body, found) in [
        ("null", Found::Null),
        ("[]", Found::Array),
        ("\"x\"", Found::Text("x".into())),
    ] {
        assert_invalid(body, "", &found);
    }
}

#[test]
fn a_value_that_no_number_type_holds_is_still_a_number() {
    for number in [
        "1e400",
        "-1e400",
        "123456789012345678901234567890",
        "0.1e-999",
    ] {
        let body = EXAMPLE.replace("\"Waitting\"", number);
        assert_invalid(body, "/notify_data/body/status", &Found::Number);
        let body = EXAMPLE.replacen('{', &("{\"count\":".to_string() + number + ","), 1);
        assert_eq!(flags(body), Flags::EXTRA_FIELDS);
    }
}

#[test]
fn siblings_under_the_same_envelope() {
    for (resource, event, pointer, found) in [
        ("device", "update", "/resource", "device"),
        ("device.property", "report", "/resource", "device.property"),
        ("product", "create", "/resource", "product"),
        ("Batchtask", "update", "/resource", "Batchtask"),
        ("batchtask", "delete", "/event", "delete"),
    ] {
        let mut body = example_with("/resource", Some(json!(resource)));
        body["event"] = json!(event);
        assert_invalid(body, pointer, &Found::Text(found.into()));
    }
}

#[test]
fn either_time_is_enough_and_null_is_missing() {
    for missing in [None, Some(json!(null))] {
        let only_ms = example_with("/event_time", missing.clone());
        assert_eq!(flags(&only_ms), Flags::NO_EVENT_TIME);
        assert_eq!(parse(only_ms).unwrap().event_time(), None);

        let only_seconds = example_with("/event_time_ms", missing.clone());
        assert_eq!(flags(&only_seconds), Flags::empty());
        assert_eq!(parse(only_seconds).unwrap().event_time_ms(), None);

        let mut neither = example_with("/event_time", None);
        neither["event_time_ms"] = json!(null);
        assert_invalid(neither, "/event_time", &Found::Nothing);

        let untraced = example_with("/request_id", missing);
        assert_eq!(parse(untraced).unwrap().request_id(), None);
    }
}

#[test]
fn optional_members_must_have_their_form() {
    for pointer in ["/event_time", "/event_time_ms", "/request_id"] {
        assert_invalid(
            example_with(pointer, Some(json!(7))),
            pointer,
            &Found::Number,
        );
        assert_invalid(
            example_with(pointer, Some(json!({}))),
            pointer,
            &Found::Object,
        );
    }
    for pointer in ["/event_time", "/event_time_ms"] {
        for time in ["", "yesterday", "2015-12-12T12:12:12Z"] {
            assert_invalid(
                example_with(pointer, Some(json!(time))),
                pointer,
                &Found::Text(time.into()),
            );
        }
    }
    let swapped = example_with("/event_time_ms", Some(json!("20151212T121212Z")));
    assert_invalid(
        swapped,
        "/event_time_ms",
        &Found::Text("20151212T121212Z".into()),
    );
}

#[test]
fn times_may_differ_in_milliseconds_only() {
    let at = |time| example_with("/event_time_ms", Some(json!(time)));
    assert_eq!(flags(at("2015-12-12T12:12:12.999Z")), Flags::empty());
    assert_eq!(flags(at("2015-12-12T12:12:13.000Z")), Flags::TIME_MISMATCH);
    assert_eq!(flags(at("2015-12-12T12:12:11.999Z")), Flags::TIME_MISMATCH);
}

#[test]
fn unknown_words_are_kept_and_flagged() {
    let status = example_with("/notify_data/body/status", Some(json!("Paused \u{0}😀")));
    assert_eq!(flags(&status), Flags::UNKNOWN_STATUS);
    assert_eq!(parse(status).unwrap().status(), "Paused \u{0}😀");

    let task_type = example_with(
        "/notify_data/body/task_type",
        Some(json!(" softwareUpgrade")),
    );
    assert_eq!(flags(&task_type), Flags::UNKNOWN_TYPE);
    assert_eq!(parse(task_type).unwrap().task_type(), " softwareUpgrade");

    for known in TASK_TYPES {
        let task_type = example_with("/notify_data/body/task_type", Some(json!(known)));
        assert_eq!(flags(task_type), Flags::empty(), "{known}");
    }
}

#[test]
fn other_members_are_let_pass_and_flagged() {
    for pointer in [
        "/rule_id",
        "/base64_original_payload",
        "/notify_data/header",
        "/notify_data/status",
        "/notify_data/body/devices",
    ] {
        for value in [json!(null), json!("x"), json!({"deep": [[[{}]]]})] {
            assert_eq!(
                flags(example_with(pointer, Some(value))),
                Flags::EXTRA_FIELDS,
                "{pointer}"
            );
        }
    }
}

#[test]
fn a_known_member_must_not_be_there_twice() {
    for (line, pointer) in [
        ("\"event\" : \"update\",", "/event"),
        (
            "\"status_desc\" : \"status_desc\",",
            "/notify_data/body/status_desc",
        ),
        ("\"request_id\" : null,", "/request_id"),
    ] {
        let after = if pointer.contains("body") {
            "\"body\" : {"
        } else {
            "{"
        };
        let body = EXAMPLE.replacen(after, &(after.to_string() + line), 1);
        assert_invalid(body, pointer, &Found::Duplicate);
    }
    let escaped = EXAMPLE.replacen('{', "{\"\\u0072esource\":\"device\",", 1);
    assert_invalid(escaped, "/resource", &Found::Duplicate);
}

#[test]
fn the_form_of_2020() {
    let notification = parse(legacy()).unwrap();
    assert_eq!(notification.app_id(), "a");
    assert_eq!(notification.task_id(), "t");
    assert_eq!(notification.task_type(), "firmwareUpgrade");
    assert_eq!(notification.status(), "Fail");
    assert_eq!(notification.status_desc(), "");
    assert_eq!(
        notification.flags(),
        Flags::LEGACY_FORM | Flags::NO_EVENT_TIME
    );

    let mut timed = legacy();
    timed["event_time"] = json!("20200101T000000Z");
    assert_eq!(flags(&timed), Flags::LEGACY_FORM);
    timed["event_time"] = json!("2020");
    assert_invalid(timed, "/event_time", &Found::Text("2020".into()));
}

#[test]
fn the_form_of_2020_needs_no_event() {
    for event in [json!(null), json!("status"), json!("")] {
        let mut body = legacy();
        body["event"] = event;
        assert!(parse(body).is_ok());
    }
    let mut body = legacy();
    body.as_object_mut().unwrap().remove("event");
    assert!(parse(&body).is_ok());
    body["event"] = json!(1);
    assert_invalid(body, "/event", &Found::Number);
}

#[test]
fn the_forms_do_not_mix() {
    let mut body = legacy();
    body["notify_data"] = json!({"body": body["notify_data"]});
    assert_invalid(body, "/notify_data/app_id", &Found::Nothing);

    let mut body = legacy();
    body["resource"] = json!("batchtask");
    assert_invalid(body, "/notify_data/body", &Found::Nothing);
}

#[test]
fn a_dead_letter_is_the_message_inside() {
    assert_eq!(parse(dead_letter(EXAMPLE)), parse(EXAMPLE));
    assert_eq!(parse(dead_letter(legacy())), parse(legacy()));
    assert_eq!(
        parse(dead_letter("\u{feff}".to_string() + EXAMPLE)),
        parse(EXAMPLE)
    );

    let mut letter = dead_letter(EXAMPLE);
    letter["resource"] = json!(null);
    assert_eq!(parse(&letter), parse(EXAMPLE));
    letter["resource"] = json!("device");
    assert_invalid(letter, "/resource", &Found::Text("device".into()));
}

#[test]
fn padding_may_be_missing() {
    for spaces in ["", " ", "  "] {
        let mut letter = dead_letter(EXAMPLE.to_string() + spaces);
        let padded = letter[&PAYLOAD[1..]].as_str().unwrap().to_string();
        letter[&PAYLOAD[1..]] = json!(padded.trim_end_matches('='));
        assert_eq!(parse(letter), parse(EXAMPLE));
    }
}

#[test]
fn a_dead_letter_needs_base64() {
    for payload in ["", "e30", "e30="] {
        let letter = json!({"base64_original_payload": payload});
        let error = parse(letter).unwrap_err();
        assert!(matches!(error, ParseError::DeadLetter(_)), "{error}");
    }
    for payload in ["e", "e30==", "e31", "e 30", "e3_-", "ä", "e30\n"] {
        let letter = json!({"base64_original_payload": payload});
        assert_invalid(letter, PAYLOAD, &Found::Text(payload.into()));
    }
    assert_invalid(
        json!({"base64_original_payload": 1}),
        PAYLOAD,
        &Found::Number,
    );
    // Neither a dead letter nor anything else.
    assert_invalid(
        json!({"base64_original_payload": null}),
        "/resource",
        &Found::Nothing,
    );
}

#[test]
fn errors_inside_a_dead_letter_are_told_apart() {
    let inside = |message: &str| match parse(dead_letter(message)) {
        Err(ParseError::DeadLetter(inner)) => *inner,
        other => panic!("{other:?}"),
    };
    assert!(matches!(inside("{"), ParseError::NotJson { offset: 1, .. }));
    assert!(matches!(inside(""), ParseError::NotJson { offset: 0, .. }));
    assert!(matches!(
        inside(&"[".repeat(65)),
        ParseError::TooComplex { .. }
    ));
    assert_eq!(inside("{}").pointer(), Some("/resource"));

    let nested = inside(&dead_letter(EXAMPLE).to_string());
    assert_eq!(nested.pointer(), Some(PAYLOAD));
    assert!(nested.detail().contains("not another dead letter"));
}

#[test]
fn whatever_a_connectivity_test_posts() {
    for body in [
        json!({}),
        json!({"hello": "world"}),
        json!({"test": [1, 2.5, null]}),
    ] {
        assert_invalid(body, "/resource", &Found::Nothing);
    }
}
