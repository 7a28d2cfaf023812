//! The answers to requests, and the entries to store.

use batchtask_guest::bindings::exports::batchtask::receiver::intake::{
    Admission, Kind, Request, Response,
};
use batchtask_guest::journal::{Appended, Source};
use batchtask_guest::outcomes::Success;
use batchtask_guest::receiver::{Decision, Entry, Receiver, Write, kind};
use batchtask_guest::settings::Settings;

use crate::support::{Digests, StoreOnly, notification, request, settings};

const NOW_MS: u64 = 1_604_458_421_000;
const JSON: (&str, &str) = ("content-type", "application/json");
const SECRET: &str = "0123456789abcdef";
const TOKEN: &str = "tokentokentokentoken";

fn with<T>(settings: &Settings, then: impl FnOnce(Receiver<'_, Digests>) -> T) -> T {
    then(Receiver {
        journal: &<Digests>::default(),
        settings,
        now_ms: NOW_MS,
    })
}

fn head(values: &[(&str, &str)], request: &Request) -> Result<Admission, Box<Response>> {
    with(&settings(values), |receiver| receiver.head(request))
}

fn decide(values: &[(&str, &str)], request: Request) -> Decision {
    with(&settings(values), |receiver| receiver.decide(request))
}

fn refusal(values: &[(&str, &str)], request: &Request) -> (u16, String) {
    let response = head(values, request).expect_err("it is refused");
    (response.status, response.report.outcome)
}

fn push(body: &str) -> Request {
    request("POST", "/notifications", &[JSON], body)
}

fn write(decision: Decision) -> Write {
    match decision {
        Decision::Write(write) => write,
        Decision::Respond(response) => panic!("expected an entry to store: {response:?}"),
    }
}

fn response(decision: Decision) -> Response {
    match decision {
        Decision::Respond(response) => response,
        Decision::Write(write) => panic!("expected a response: {write:?}"),
    }
}

fn body(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn the_kind_of_a_request_is_that_of_its_path() {
    for (target, expected) in [
        ("/notifications", Kind::Push),
        ("/notifications/secret?x", Kind::Push),
        ("/notifications/", Kind::Push),
        ("/notificationsx", Kind::Read),
        ("/tasks?class=open", Kind::Read),
        ("/nothing", Kind::Read),
        ("/", Kind::Page),
        ("/?token=x", Kind::Page),
        ("/page/tasks/a/t", Kind::Page),
    ] {
        assert_eq!(kind(target), expected, "{target}");
    }
}

#[test]
fn the_head_determines_the_greatest_length_of_the_body() {
    let admission = head(&[], &push("")).unwrap();
    assert_eq!(admission.kind, Kind::Push);
    assert_eq!(admission.max_body_bytes, 1_572_864);
    assert!(!admission.sender_proven);

    let proven = Request {
        sender_proven: true,
        ..push("")
    };
    assert!(head(&[], &proven).unwrap().sender_proven);

    let secret = [("BATCHTASK_PATH_SECRET", SECRET)];
    let to_secret = request("POST", "/notifications/0123456789abcdef", &[JSON], "");
    assert!(head(&secret, &to_secret).unwrap().sender_proven);

    let bearer = format!("Bearer {TOKEN}");
    let read = request("GET", "/tasks", &[("authorization", &bearer)], "");
    let admission = head(&[("BATCHTASK_READ_TOKEN", TOKEN)], &read).unwrap();
    assert_eq!((admission.kind, admission.max_body_bytes), (Kind::Read, 0));
    assert!(admission.sender_proven, "by the token");

    let health = request("GET", "/health", &[], "");
    let admission = head(&[("BATCHTASK_READ_TOKEN", TOKEN)], &health).unwrap();
    assert_eq!((admission.kind, admission.max_body_bytes), (Kind::Read, 0));
    assert!(!admission.sender_proven);
}

/// In `report` mode nothing is refused, and a valid signature proves the sender.
#[test]
fn the_head_shows_whether_a_signature_proves_the_sender() {
    let signature = "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38";
    let signed = |signature: &str| {
        let fields = [
            ("signature", signature),
            ("timestamp", "1604458421"),
            ("nonce", "IkOaKMDalrAzUTxC"),
        ];
        request("POST", "/notifications", &fields, "")
    };
    for mode in ["enforce", "report", "off"] {
        let values = [("BATCHTASK_SIGNATURE", mode), ("BATCHTASK_TOKEN", "aaa")];
        let valid = head(&values, &signed(signature)).unwrap();
        assert_eq!(valid.sender_proven, mode != "off", "{mode}");
        let forged = head(&values, &signed(&"0".repeat(64)));
        assert_eq!(forged.is_err(), mode == "enforce", "{mode}");
        assert!(forged.is_err() || !forged.unwrap().sender_proven, "{mode}");
    }
}

/// All refusals that need no body.
#[test]
fn a_head_is_refused_before_the_body_is_read() {
    let secret = [("BATCHTASK_PATH_SECRET", SECRET)];
    let enforce = [
        ("BATCHTASK_SIGNATURE", "enforce"),
        ("BATCHTASK_TOKEN", "aaa"),
    ];
    let token = [("BATCHTASK_READ_TOKEN", TOKEN)];
    let post = |target, headers: &[(&str, &str)]| request("POST", target, headers, "");
    let refused = |status: u16, outcome: &str| (status, outcome.to_owned());

    let long = post("/notifications", &[JSON, ("content-length", "1572865")]);
    assert_eq!(refusal(&[], &long), refused(413, "body-too-large"));
    for target in [
        "/notifications",
        "/notifications/",
        "/notifications/0123456789abcdeg",
        "/notifications/0123456789abcdef/x",
    ] {
        let wrong = post(target, &[JSON]);
        assert_eq!(
            refusal(&secret, &wrong),
            refused(404, "not-found"),
            "{target}"
        );
    }
    let media = post("/notifications", &[("content-type", "image/png")]);
    assert_eq!(refusal(&[], &media), refused(415, "unsupported-media-type"));
    let unsigned = post("/notifications", &[JSON]);
    assert_eq!(refusal(&enforce, &unsigned), refused(401, "unauthorized"));
    let put = request("PUT", "/notifications", &[JSON], "");
    assert_eq!(refusal(&[], &put), refused(405, "method-not-allowed"));
    let unread = request("GET", "/tasks", &[], "");
    assert_eq!(refusal(&[], &unread), refused(404, "not-found"));
    assert_eq!(refusal(&token, &unread), refused(401, "unauthorized"));
}

#[test]
fn an_event_is_stored_and_its_outcome_is_filled_in() {
    for (appended, outcome) in [
        (Appended::Recorded, "recorded"),
        (Appended::Duplicate, "duplicate"),
    ] {
        let write = write(decide(&[], push(&notification("Fail"))));
        let Entry::Event(event) = &write.entry else {
            panic!("an event");
        };
        assert_eq!(
            (event.status.as_str(), event.source),
            ("Fail", Source::Push)
        );
        assert_eq!(event.body, notification("Fail").as_bytes());
        assert_eq!(event.received_at_ms, NOW_MS);
        assert!(write.signature.is_none());

        let response = write.into_response(appended).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.report.kind, Kind::Push);
        assert_eq!(response.report.outcome, outcome);
        assert_eq!(response.report.app_id.as_deref(), Some("a"));
        assert_eq!(response.report.task_id.as_deref(), Some("t"));
        let body = body(&response);
        assert_eq!(
            (&body["outcome"], &body["task_id"]),
            (&outcome.into(), &"t".into())
        );
    }
}

#[test]
fn a_replay_is_a_refusal() {
    let write = write(decide(&[], push(&notification("Fail"))));
    let problem = write.into_response(Appended::Replayed).unwrap_err();
    let response = problem.into_response();
    assert_eq!(response.status, 401);
    assert_eq!(response.report.outcome, "unauthorized");
    let detail = response.report.detail.unwrap();
    assert!(detail.contains("another notification"), "{detail}");
    assert!(
        !String::from_utf8(response.body)
            .unwrap()
            .contains("another notification")
    );
}

#[test]
fn a_reject_of_a_proven_sender_is_quarantined() {
    for appended in [Appended::Recorded, Appended::Duplicate] {
        // A client certificate proves the sender.
        let by_certificate = Request {
            sender_proven: true,
            ..push("{}")
        };
        let write = write(decide(&[], by_certificate));
        let Entry::Reject(reject) = &write.entry else {
            panic!("a reject");
        };
        assert_eq!(reject.reason, "not-a-notification");
        assert_eq!(reject.body, b"{}");
        let response = write.into_response(appended).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.report.outcome, "quarantined");
        assert_eq!(body(&response)["outcome"], "quarantined");
        assert_eq!(body(&response)["reason"], "not-a-notification");
    }
    let unproven = response(decide(&[], push("{}")));
    assert_eq!(unproven.status, 422);
    let reject = [("BATCHTASK_UNPROCESSABLE", "reject")];
    let proven = Request {
        sender_proven: true,
        ..push("{")
    };
    assert_eq!(response(decide(&reject, proven)).status, 400);
}

#[test]
fn a_body_that_is_too_long_is_refused_whatever_was_declared() {
    let short = [("BATCHTASK_MAX_BODY_BYTES", "1024")];
    let refused = response(decide(&short, push(&"x".repeat(1025))));
    assert_eq!(refused.status, 413);
}

#[test]
fn a_message_of_another_channel_is_decided_like_a_push() {
    let enforce = settings(&[
        ("BATCHTASK_SIGNATURE", "enforce"),
        ("BATCHTASK_TOKEN", "aaa"),
    ]);
    with(&enforce, |receiver| {
        let amqp = |body: &str| receiver.decide_message(Source::Amqp, body.into());
        let event = write(amqp(&notification("Fail")));
        let Entry::Event(event) = event.entry else {
            panic!("an event");
        };
        assert_eq!((event.source, event.signature), (Source::Amqp, None));
        assert!(matches!(write(amqp("{}")).entry, Entry::Reject(_)));

        let accept = |body: &str| receiver.accept(Source::Amqp, body.into()).unwrap();
        assert_eq!(accept(&notification("Fail")), Success::Recorded);
        assert_eq!(accept(&notification("Fail")), Success::Duplicate);
        assert_eq!(accept("{}"), Success::Quarantined);
    });
}

#[test]
fn an_exchange_is_a_decision_that_is_stored() {
    with(&settings(&[]), |receiver| {
        let outcome = || {
            receiver
                .exchange(push(&notification("Fail")))
                .report
                .outcome
        };
        assert_eq!([outcome(), outcome()], ["recorded", "duplicate"]);
    });
}

#[test]
fn a_report_names_the_finding_and_refuses_nothing() {
    let report = [
        ("BATCHTASK_SIGNATURE", "report"),
        ("BATCHTASK_TOKEN", "aaa"),
    ];
    let write = write(decide(&report, push(&notification("Fail"))));
    let Entry::Event(event) = &write.entry else {
        panic!("an event");
    };
    assert_eq!(event.signature.as_deref(), Some("no signature"));
    assert!(write.signature.is_none());
    let response = write.into_response(Appended::Recorded).unwrap();
    assert_eq!(response.report.signature.as_deref(), Some("no signature"));
}

#[test]
fn a_problem_on_a_page_is_a_page_and_head_has_no_body() {
    let token = [("BATCHTASK_READ_TOKEN", TOKEN)];
    let page = response(decide(&token, request("GET", "/", &[], "")));
    assert_eq!(page.status, 401);
    assert_eq!(
        (page.report.kind, page.report.outcome.as_str()),
        (Kind::Page, "unauthorized")
    );
    let field = |name: &str| {
        let mut found = page.headers.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there once");
        value
    };
    assert_eq!(field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(field("cache-control"), Some("no-store"));
    assert_eq!(field("www-authenticate"), Some("Bearer"));
    assert!(field("content-security-policy").is_some());

    let head = response(decide(&token, request("HEAD", "/", &[], "")));
    assert_eq!((head.status, head.body.len()), (401, 0));
}

#[test]
fn a_journal_that_only_stores_has_no_pages_and_refuses_reads() {
    let settings = settings(&[("BATCHTASK_READ_TOKEN", TOKEN)]);
    let receiver = Receiver {
        journal: &StoreOnly::default(),
        settings: &settings,
        now_ms: NOW_MS,
    };
    let bearer = ["Bearer ", TOKEN].concat();
    let answer = |method, target, token: &[(&str, &str)]| {
        response(receiver.decide(request(method, target, token, "")))
    };
    for target in ["/tasks", "/tasks/a/t", "/events", "/openapi.json"] {
        assert_eq!(answer("GET", target, &[]).status, 401, "{target}");
        let read = answer("GET", target, &[("authorization", &bearer)]);
        assert_eq!(read.status, 501, "{target}");
        assert_eq!(body(&read)["detail"], "it only stores", "{target}");
    }
    for (method, page) in [
        ("GET", "/"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("GET", "/page/style.css"),
        ("GET", "/page/task?app_id=a&task_id=t"),
    ] {
        let refused = answer(method, page, &[("authorization", &bearer)]);
        assert_eq!(refused.status, 404, "{page}");
        assert_eq!(body(&refused)["title"], "Not found.", "{page}");
    }
    assert_eq!(answer("GET", "/health", &[]).status, 200);
    write(receiver.decide(push(&notification("Success"))));
}
