//! Any head: if the check of the head refuses it, the request with its body is refused
//! in the same way; if the check accepts it, the request is not refused because of its
//! head. Only one of the secrets proves a sender.
#![no_main]

use batchtask_guest::bindings::exports::batchtask::receiver::intake::{Kind, Request, Response};
use batchtask_guest::receiver::{Decision, Receiver, is_read, kind};
use batchtask_guest::settings::Settings;
use libfuzzer_sys::fuzz_target;

#[path = "support/empty.rs"]
mod empty;
use empty::Empty;

const SECRET: &str = "0123456789abcdef";

/// The settings of each case, by the first byte of the input.
const SETTINGS: [&[(&str, &str)]; 4] = [
    &[],
    &[
        ("BATCHTASK_PATH_SECRET", SECRET),
        ("BATCHTASK_READ_TOKEN", SECRET),
    ],
    &[
        ("BATCHTASK_SIGNATURE", "enforce"),
        ("BATCHTASK_TOKEN", "aaa"),
    ],
    &[
        ("BATCHTASK_SIGNATURE", "report"),
        ("BATCHTASK_TOKEN", "aaa"),
        ("BATCHTASK_READ_TOKEN", SECRET),
    ],
];

const BODY: &[u8] = include_bytes!("../../tests/samples/seed-example.json");

// The first byte chooses the settings. Then come lines: the method, the target,
// and header fields with a colon after the name.
fuzz_target!(|bytes: &[u8]| {
    let Some((choice, text)) = bytes.split_first() else {
        return;
    };
    let values = SETTINGS[usize::from(*choice) % SETTINGS.len()];
    let value = |name: &str| values.iter().find(|(known, _)| *known == name);
    let settings = Settings::read(|name| value(name).map(|(_, value)| (*value).into())).unwrap();
    let receiver = Receiver {
        journal: &Empty,
        settings: &settings,
        now_ms: 1_604_458_421_000,
    };
    let request = request(text, choice & 0x80 != 0);
    let head = receiver.head(&Request {
        body: Vec::new(),
        ..request.clone()
    });
    let is_push = kind(&request.target) == Kind::Push && request.method == "POST";
    assert!(!(is_push && is_read(&request)));
    // A form of a page has a body, which only the second call sees.
    let is_form = kind(&request.target) == Kind::Page && request.method == "POST";
    let certified = request.sender_proven;
    let secret = String::from_utf8_lossy(text).contains(SECRET);
    let decision = receiver.decide(request);
    match head {
        Err(refused) => same(&refused, decision),
        Ok(admission) => {
            let takes_body = admission.max_body_bytes > 0;
            assert!(takes_body || !is_push);
            assert!(!takes_body || is_push || is_form);
            let signed = text
                .windows(9)
                .any(|part| part.eq_ignore_ascii_case(b"signature"));
            assert!(!admission.sender_proven || certified || secret || signed);
            match decision {
                Decision::Write(write) => assert_eq!(write.response.status, 200),
                Decision::Respond(response) => {
                    assert!(!is_push, "the body is a notification");
                    let from_head = [401, 403, 404, 405, 413, 415];
                    // An unknown task is a 404 too.
                    let is_head = from_head.contains(&response.status) && response.status != 404;
                    assert!(is_form || !is_head, "{}", response.status);
                }
            }
        }
    }
});

fn request(text: &[u8], sender_proven: bool) -> Request {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (method, target) = (line(), line());
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).into_owned();
        Some((name, line[colon + 1..].to_vec()))
    });
    Request {
        method,
        target,
        headers: fields.collect(),
        sender_proven,
        over_https: false,
        body: BODY.to_vec(),
    }
}

fn same(refused: &Response, decision: Decision) {
    let Decision::Respond(response) = decision else {
        panic!("refused with {}, then accepted", refused.status);
    };
    assert_eq!(refused.status, response.status);
    assert_eq!(refused.headers, response.headers);
    assert_eq!(refused.body, response.body);
    assert_eq!(refused.report.outcome, response.report.outcome);
}
