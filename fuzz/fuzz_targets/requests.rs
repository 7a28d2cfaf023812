//! Any path and query gets a response from the table of outcomes, whose body is JSON or
//! a page. If the head is refused, the request is refused in the same way. Any pair of
//! ids survives being encoded in a path.
#![no_main]

use batchtask_guest::bindings::exports::batchtask::receiver::intake::Request;
use batchtask_guest::outcomes::Outcome;
use batchtask_guest::receiver::Receiver;
use batchtask_guest::routes::{Route, View};
use batchtask_guest::settings::Settings;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

#[path = "support/empty.rs"]
mod empty;
use empty::Empty;

const TOKEN: &str = "0123456789abcdef";

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let settings = Settings::read(|name| (name == "BATCHTASK_READ_TOKEN").then(|| TOKEN.into()));
    let settings = settings.unwrap();
    let receiver = Receiver {
        journal: &Empty,
        settings: &settings,
        now_ms: 0,
    };
    let request = Request {
        method: "GET".into(),
        target: text.clone().into_owned(),
        headers: vec![("authorization".into(), format!("Bearer {TOKEN}").into())],
        sender_proven: false,
        over_https: false,
        body: Vec::new(),
    };
    let head = receiver.head(&request);
    let response = receiver.exchange(request);
    let found = (response.status, response.report.outcome.as_str());
    let status = match Outcome::of(found.1) {
        Some(Outcome::Success(row)) => row.status(),
        Some(Outcome::Refusal(row)) => row.status(),
        None => panic!("{found:?}"),
    };
    assert_eq!(found.0, status, "{found:?}");
    match head {
        Ok(admission) => {
            assert_eq!(admission.max_body_bytes, 0, "a read has no body");
            assert_eq!(admission.kind, response.report.kind);
        }
        Err(refused) => {
            assert_eq!((refused.status, refused.report.outcome.as_str()), found);
            assert_eq!(refused.body, response.body);
        }
    }
    let is = |name: &str, value: &str| {
        let mut headers = response.headers.iter();
        headers.any(|(found, is)| found == name && is.starts_with(value))
    };
    if is("content-type", "text/html") {
        assert!(response.body.starts_with(b"<!DOCTYPE html>"));
        assert!(str::from_utf8(&response.body).is_ok());
    } else if !is("content-encoding", "gzip") {
        let _: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    }

    if let Some((app_id, task_id)) = text.split_once('\n') {
        let [app, task] = [app_id, task_id].map(|id| utf8_percent_encode(id, NON_ALPHANUMERIC));
        for prefix in ["/tasks", "/page/tasks"] {
            let path = format!("{prefix}/{app}/{task}");
            match Route::of(View::of(&path).1) {
                Some(Route::Task(name)) => {
                    assert_eq!((&*name.app_id, &*name.task_id), (app_id, task_id));
                }
                other => panic!("{other:?}"),
            }
        }
    }
});
