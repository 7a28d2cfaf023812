//! All forms of requests that the platform or a load balancer may send.

use batchtask_guest::bindings::exports::batchtask::receiver::intake::{Kind, Request, Response};
use batchtask_guest::receiver::{Receiver, is_read};
use batchtask_journal::MemoryJournal;

use crate::support::{notification, request, settings};

const NOW_MS: u64 = 1_604_458_421_000;
const SECRET: &str = "0123456789abcdef";
const AT_SECRET: (&str, &str) = ("BATCHTASK_PATH_SECRET", SECRET);
const READABLE: (&str, &str) = ("BATCHTASK_READ_TOKEN", "tokentokentokentoken");

/// Returns the response to a request, and asserts that the check of the head
/// agrees with it.
fn answer(values: &[(&str, &str)], request: Request) -> Response {
    let settings = settings(values);
    let journal = MemoryJournal::default();
    let receiver = Receiver {
        journal: &journal,
        settings: &settings,
        now_ms: NOW_MS,
    };
    let head = receiver.head(&request);
    let response = receiver.exchange(request);
    if let Err(refused) = head {
        assert_eq!(refused.status, response.status, "{:?}", refused.report);
    } else {
        assert!(
            !matches!(response.status, 401..=415),
            "{:?}",
            response.report
        );
    }
    response
}

fn post(target: &str, headers: &[(&str, &str)]) -> Request {
    request("POST", target, headers, &notification("Fail"))
}

fn by_certificate(request: Request) -> Request {
    Request {
        sender_proven: true,
        ..request
    }
}

fn signed() -> [(&'static str, &'static str); 3] {
    // For the token `aaa`, at `NOW_MS`.
    let signature = "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38";
    [
        ("signature", signature),
        ("timestamp", "1604458421"),
        ("nonce", "IkOaKMDalrAzUTxC"),
    ]
}

const ENFORCE: [(&str, &str); 2] = [
    ("BATCHTASK_SIGNATURE", "enforce"),
    ("BATCHTASK_TOKEN", "aaa"),
];

/// Media types and content codings that the platform does not document.
const LABELS: [&[(&str, &str)]; 11] = [
    &[],
    &[("content-type", "")],
    &[
        ("content-type", "application/json"),
        ("content-type", "application/json"),
    ],
    &[("content-type", "text/json")],
    &[("content-type", "application/cloudevents+json")],
    &[("content-type", "text/plain;charset=UTF-8")],
    &[("content-type", "application/x-www-form-urlencoded")],
    &[("content-type", "\u{ff}")],
    &[("content-encoding", "")],
    &[("content-encoding", "identity")],
    &[("content-encoding", "utf-8")],
];

#[test]
fn the_media_type_of_a_proven_sender_is_ignored() {
    for headers in LABELS {
        let at_secret = post("/notifications/0123456789abcdef", headers);
        let signed = post("/notifications", &[headers, &signed()].concat());
        let certified = by_certificate(post("/notifications", headers));
        for response in [
            answer(&[AT_SECRET], at_secret),
            answer(&ENFORCE, signed),
            answer(&[], certified),
        ] {
            assert_eq!(response.report.outcome, "recorded", "{headers:?}");
        }
    }
}

#[test]
fn a_wrong_media_type_of_an_unproven_sender_is_refused_and_reported() {
    for headers in LABELS {
        let response = answer(&[], post("/notifications", headers));
        let is_plain = headers.iter().all(|(name, value)| {
            value.is_empty() || (*name, *value) == ("content-encoding", "identity")
        });
        assert_eq!(
            response.status,
            if is_plain { 200 } else { 415 },
            "{headers:?}"
        );
    }
    let detail = |headers: &[(&str, &str)]| {
        let response = answer(
            &[("BATCHTASK_UNPROCESSABLE", "accept")],
            post("/notifications", headers),
        );
        assert_eq!(response.status, 415);
        response.report.detail.unwrap()
    };
    let both = [("Content-Type", "text/plain"), ("content-encoding", "gzip")];
    assert_eq!(
        detail(&both),
        "an unauthenticated sender sent `content-type: text/plain` `content-encoding: gzip`"
    );
    assert!(detail(&[("content-type", &"x".repeat(100_000))]).len() < 300);
}

#[test]
fn extra_slashes_are_ignored() {
    for target in [
        "/notifications",
        "/notifications/",
        "//notifications",
        "///notifications//",
        "/notifications/?x=1",
    ] {
        let response = answer(&[], post(target, &[]));
        assert_eq!(response.report.outcome, "recorded", "{target}");
        assert_eq!(response.report.kind, Kind::Push);
        let at_secret = target.replace("notifications", "notifications/0123456789abcdef");
        let response = answer(&[AT_SECRET], post(&at_secret, &[]));
        assert_eq!(response.report.outcome, "recorded", "{at_secret}");
        // The secret is still needed.
        assert_eq!(
            answer(&[AT_SECRET], post(target, &[])).status,
            404,
            "{target}"
        );
    }
    for target in ["/notifications/x/", "/", "//", "/page//notifications"] {
        let response = answer(&[READABLE], post(target, &[]));
        assert!(matches!(response.status, 404 | 405), "{target}");
    }
}

#[test]
fn a_page_of_another_site_may_not_post() {
    let foreign: [&[(&str, &str)]; 7] = [
        &[("sec-fetch-site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        &[
            ("origin", "https://evil.example"),
            ("host", "receiver.example"),
        ],
        &[("origin", "null"), ("host", "receiver.example")],
        &[
            ("origin", "http://receiver.example:81"),
            ("host", "receiver.example"),
        ],
        &[("origin", "https://receiver.example")],
    ];
    for headers in foreign {
        // A browser adds the client certificate to any request.
        for request in [
            post("/notifications", headers),
            by_certificate(post("/notifications", headers)),
        ] {
            let response = answer(&[], request);
            let found = (response.status, response.report.outcome.as_str());
            assert_eq!(found, (403, "cross-site"), "{headers:?}");
        }
        // No page of another site knows a secret.
        let at_secret = post("/notifications/0123456789abcdef", headers);
        assert_eq!(answer(&[AT_SECRET], at_secret).status, 200, "{headers:?}");
        let signed = post("/notifications", &[headers, &signed()].concat());
        assert_eq!(answer(&ENFORCE, signed).status, 200, "{headers:?}");
    }
    let own: [&[(&str, &str)]; 3] = [
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[
            ("origin", "http://receiver.example:81"),
            ("host", "receiver.example:81"),
        ],
    ];
    for headers in own {
        assert_eq!(
            answer(&[], post("/notifications", headers)).status,
            200,
            "{headers:?}"
        );
    }
}

#[test]
fn a_load_balancer_learns_that_the_receiver_is_up_and_no_more() {
    for values in [vec![], vec![READABLE, AT_SECRET], ENFORCE.to_vec()] {
        let health = answer(&values, request("GET", "/health", &[], ""));
        assert_eq!(
            (health.status, &*health.body),
            (200, br#"{"status":"up"}"#.as_slice())
        );
        let head = answer(&values, request("HEAD", "/health", &[], ""));
        assert_eq!((head.status, head.body.len()), (200, 0));
        let wrong = answer(&values, request("POST", "/health", &[], ""));
        assert_eq!(wrong.status, 405);
        for target in ["/", "*", "/health", "/?x"] {
            let options = answer(&values, request("OPTIONS", target, &[], ""));
            assert_eq!((options.status, options.body.len()), (204, 0), "{target}");
            let allow = ("allow".to_owned(), "GET, HEAD, OPTIONS".to_owned());
            assert!(options.headers.contains(&allow), "{target}");
        }
    }
}

#[test]
fn options_names_the_methods_of_what_is_there() {
    let options = |values: &[(&str, &str)], target: &str| {
        let response = answer(values, request("OPTIONS", target, &[], ""));
        let mut allow = response.headers.into_iter();
        let allow = allow.find(|(name, _)| name == "allow");
        allow.map(|(_, methods)| methods)
    };
    let post = Some("POST, OPTIONS".to_owned());
    assert_eq!(options(&[], "/notifications/"), post);
    assert_eq!(
        options(&[AT_SECRET], "/notifications/0123456789abcdef"),
        post
    );
    assert_eq!(
        options(&[AT_SECRET], "/notifications/0123456789abcdeg"),
        None
    );
    assert_eq!(
        options(&[READABLE], "/tasks").as_deref(),
        Some("GET, HEAD, OPTIONS")
    );
    assert_eq!(options(&[], "/tasks"), None);
    assert_eq!(options(&[READABLE], "/nowhere"), None);
}

#[test]
fn only_what_may_ask_the_journal_is_a_read() {
    for (method, target, expected) in [
        ("GET", "/tasks", true),
        ("HEAD", "/", true),
        ("GET", "/page/quarantine", true),
        ("GET", "/health", false),
        ("HEAD", "/health?x", false),
        ("GET", "/page/task?app_id=a&task_id=t", true),
        ("GET", "/page/body?event=1", true),
        ("GET", "/login?to=tasks", false),
        ("GET", "/page/style.css?v=1", false),
        ("GET", "/page/script.js", false),
        ("GET", "/language?language=zh", false),
        ("OPTIONS", "/tasks", false),
        ("POST", "/notifications", false),
    ] {
        let request = request(method, target, &[], "");
        assert_eq!(is_read(&request), expected, "{method} {target}");
    }
}

/// A connectivity test of a sender that is proven.
#[test]
fn a_connectivity_test_does_not_count_as_a_miss() {
    for body in ["{}", "", "[]", "hello", r#"{"hello":"world"}"#] {
        let by_certificate = by_certificate(request("POST", "/notifications", &[], body));
        let at_secret = request("POST", "/notifications/0123456789abcdef", &[], body);
        for response in [answer(&[], by_certificate), answer(&[AT_SECRET], at_secret)] {
            assert_eq!(response.report.outcome, "quarantined", "{body}");
        }
    }
}
