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

const STRINGS: [&str; 6] = [
    "/resource",
    "/event",
    "/notify_data/body/app_id",
    "/notify_data/body/task_id",
    "/notify_data/body/task_type",
    "/notify_data/body/status",
];

/// The members that are not essential.
const OPTIONAL: [&str; 4] = [
    "/event_time",
    "/event_time_ms",
    "/request_id",
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
        for (value, found) in [
            (json!(true), Found::Boolean),
            (json!(7), Found::Number),
            (json!(["update"]), Found::Array),
            (json!({}), Found::Object),
            (json!(""), Found::Text("".into())),
        ] {
            assert_invalid(example_with(pointer, Some(value)), pointer, &found);
        }
    }
    for pointer in STRINGS.into_iter().filter(|pointer| *pointer != "/event") {
        assert_invalid(example_with(pointer, None), pointer, &Found::Nothing);
        let null = example_with(pointer, Some(json!(null)));
        assert_invalid(null, pointer, &Found::Null);
    }
}

#[test]
fn a_rule_may_drop_the_event() {
    for event in [None, Some(json!(null))] {
        let flags = flags(example_with("/event", event));
        assert_eq!(flags, Flags::IRREGULAR_FIELDS);
    }
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
fn other_notifications_in_the_same_envelope_are_refused() {
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
fn times_may_be_missing_and_null_is_missing() {
    for missing in [None, Some(json!(null))] {
        let only_ms = example_with("/event_time", missing.clone());
        assert_eq!(flags(&only_ms), Flags::NO_EVENT_TIME);
        assert_eq!(parse(only_ms).unwrap().event_time(), None);

        let only_seconds = example_with("/event_time_ms", missing.clone());
        assert_eq!(flags(&only_seconds), Flags::empty());
        assert_eq!(parse(only_seconds).unwrap().event_time_ms(), None);

        let mut neither = example_with("/event_time", None);
        neither["event_time_ms"] = json!(null);
        assert_eq!(flags(neither), Flags::NO_EVENT_TIME);

        let untraced = example_with("/request_id", missing.clone());
        assert_eq!(flags(&untraced), Flags::empty());
        assert_eq!(parse(untraced).unwrap().request_id(), None);

        let undescribed = parse(example_with("/notify_data/body/status_desc", missing)).unwrap();
        assert_eq!(undescribed.flags(), Flags::IRREGULAR_FIELDS);
        assert_eq!(undescribed.status_desc(), "");
    }
    let empty = example_with("/notify_data/body/status_desc", Some(json!("")));
    assert_eq!(flags(empty), Flags::empty());
}

/// The stored text of an optional member.
fn stored_text<'a>(notification: &'a Notification, pointer: &str) -> Option<&'a str> {
    match pointer {
        "/event_time" => notification.event_time(),
        "/event_time_ms" => notification.event_time_ms(),
        "/request_id" => notification.request_id(),
        _ => Some(notification.status_desc()),
    }
}

#[test]
fn optional_members_are_kept_in_any_form() {
    for pointer in OPTIONAL {
        for json in ["7", "1e400", "true", "[ 1, {} ]", "{\"a\" : \"}\"}"] {
            let body = example_with(pointer, Some(json!("here"))).to_string();
            let notification = parse(body.replace("\"here\"", json)).unwrap();
            assert_eq!(stored_text(&notification, pointer), Some(json));
            let time_flag = Flags::NO_EVENT_TIME.when(pointer == "/event_time");
            assert_eq!(notification.flags(), Flags::IRREGULAR_FIELDS | time_flag);
        }
    }
}

#[test]
fn a_time_is_read_in_either_form_in_either_member() {
    let at_ms = |body: &Value| parse(body).unwrap().into_event(0).occurred_at_ms;
    let expected = at_ms(&example_with("/event_time_ms", None));
    for text in [
        "20151212T121212Z",
        "2015-12-12T12:12:12Z",
        "2015-12-12T12:12:12.000Z",
    ] {
        for (member, other) in [
            ("/event_time", "event_time_ms"),
            ("/event_time_ms", "event_time"),
        ] {
            let mut body = example_with(member, Some(json!(text)));
            body[other] = json!(null);
            assert_eq!(at_ms(&body), expected, "{member} {text}");
        }
    }
    let swapped = example_with("/event_time_ms", Some(json!("20151212T121213Z")));
    let expected = Flags::IRREGULAR_FIELDS | Flags::TIME_MISMATCH;
    assert_eq!(flags(swapped), expected);
}

#[test]
fn an_unreadable_time_is_kept_and_the_next_best_time_is_used() {
    let example = parse(EXAMPLE).unwrap().into_event(0).occurred_at_ms;
    for text in ["", "yesterday", "20161231T235960Z", "1449922332000"] {
        for (member, occurred_at_ms, no_time) in [
            ("event_time", example, true),
            ("event_time_ms", example, false),
        ] {
            let body = example_with(&["/", member].concat(), Some(json!(text)));
            let notification = parse(body).unwrap();
            let expected = Flags::IRREGULAR_FIELDS | Flags::NO_EVENT_TIME.when(no_time);
            assert_eq!(notification.flags(), expected, "{member} {text}");
            assert_eq!(notification.into_event(7).occurred_at_ms, occurred_at_ms);
        }
        let mut neither = example_with("/event_time", Some(json!(text)));
        neither["event_time_ms"] = json!(text);
        let event = parse(neither).unwrap().into_event(7);
        assert_eq!(
            (event.occurred_at_ms, event.event_time.as_deref()),
            (7, Some(text))
        );
    }
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
fn unknown_members_are_accepted_and_flagged() {
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
fn essential_members_must_not_be_repeated() {
    for (line, pointer) in [
        ("\"event\" : \"update\",", "/event"),
        ("\"status\" : \"Waitting\",", "/notify_data/body/status"),
    ] {
        let after = if pointer.contains("body") {
            "\"body\" : {"
        } else {
            "{"
        };
        let body = EXAMPLE.replacen(after, &(after.to_string() + line), 1);
        assert_invalid(body, pointer, &Found::Duplicate);
    }
    for line in ["\"request_id\" : null,", "\"event_time\" : 7,"] {
        let body = EXAMPLE.replacen('{', &("{".to_string() + line), 1);
        assert_eq!(flags(body), Flags::IRREGULAR_FIELDS);
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
    let expected = Flags::LEGACY_FORM | Flags::NO_EVENT_TIME | Flags::IRREGULAR_FIELDS;
    assert_eq!(flags(&timed), expected);
}

#[test]
fn the_form_of_2020_needs_no_event() {
    for event in [json!(null), json!("status"), json!(""), json!(1)] {
        let mut body = legacy();
        body["event"] = event;
        assert!(parse(body).is_ok());
    }
    let mut body = legacy();
    body.as_object_mut().unwrap().remove("event");
    assert!(parse(&body).is_ok());
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
fn errors_inside_a_dead_letter_are_distinguished() {
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
fn bodies_of_connectivity_tests_are_refused() {
    for body in [
        json!({}),
        json!({"hello": "world"}),
        json!({"test": [1, 2.5, null]}),
    ] {
        assert_invalid(body, "/resource", &Found::Nothing);
    }
}
