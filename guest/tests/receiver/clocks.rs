//! Wrong clocks, and changes without a time, do not change the state of a task.

use batchtask_guest::bindings::exports::batchtask::receiver::intake::Response;
use batchtask_guest::journal::{EventFlags, Journal, Task};
use batchtask_guest::receiver::{Decision, Receiver};
use batchtask_journal::MemoryJournal;
use batchtask_notification::time::rfc3339;
use serde_json::{Value, json};

use crate::support::{request, settings};

/// The time of the platform's clock, in milliseconds since 1970.
const PLATFORM_MS: u64 = 1_604_458_421_000;
const MINUTE_MS: u64 = 60_000;

/// A receiver whose clock may be wrong.
#[derive(Default)]
struct Host {
    journal: MemoryJournal,
    settings: Vec<(&'static str, &'static str)>,
}

impl Host {
    fn post(&self, body: &Value, headers: &[(&str, &str)], now_ms: u64) -> Response {
        let settings = settings(&self.settings);
        let receiver = Receiver {
            journal: &self.journal,
            settings: &settings,
            now_ms,
        };
        let push = request("POST", "/notifications", headers, &body.to_string());
        receiver.exchange(push)
    }

    fn push(&self, body: &Value, now_ms: u64) -> Response {
        let response = self.post(body, &[], now_ms);
        assert_eq!(response.status, 200);
        response
    }

    fn task(&self) -> Task {
        Journal::find_task(&self.journal, "a", "t")
            .unwrap()
            .unwrap()
    }
}

fn fields(status: &str) -> Value {
    json!({"app_id": "a", "task_id": "t", "task_type": "softwareUpgrade", "status": status,
        "status_desc": ""})
}

fn dated(status: &str, at_ms: u64) -> Value {
    json!({"resource": "batchtask", "event": "update", "event_time_ms": rfc3339(at_ms),
        "notify_data": {"body": fields(status)}})
}

fn of_2020(status: &str, request_id: &str) -> Value {
    json!({"resource": "batchtask.status", "event": "update", "request_id": request_id,
        "notify_data": fields(status)})
}

#[test]
fn a_wrong_clock_does_not_change_the_order() {
    let day_ms = 24 * 60 * MINUTE_MS;
    for now_ms in [
        PLATFORM_MS - day_ms,
        PLATFORM_MS - 10 * MINUTE_MS,
        PLATFORM_MS,
        PLATFORM_MS + day_ms,
    ] {
        let host = Host::default();
        host.push(&dated("Success", PLATFORM_MS), now_ms);
        host.push(&dated("Processing", PLATFORM_MS - 5000), now_ms);
        let task = host.task();
        assert_eq!(
            (&*task.status, task.occurred_at_ms),
            ("Success", PLATFORM_MS)
        );
        let is_flagged = task.flags & EventFlags::CLOCK_SKEW == EventFlags::CLOCK_SKEW;
        assert_eq!(is_flagged, now_ms < PLATFORM_MS - 5 * MINUTE_MS);
    }
}

#[test]
fn a_clock_that_jumps_between_pushes_does_not_change_the_order() {
    let host = Host::default();
    host.push(
        &dated("Processing", PLATFORM_MS),
        PLATFORM_MS + 60 * MINUTE_MS,
    );
    host.push(
        &dated("Success", PLATFORM_MS + 1000),
        PLATFORM_MS - 60 * MINUTE_MS,
    );
    assert_eq!(host.task().status, "Success");
}

#[test]
fn the_last_change_to_arrive_is_the_state_if_changes_have_no_time() {
    let host = Host::default();
    // All arrive within a millisecond, except the last: then the clock went back.
    for (request_id, status, now_ms) in [
        ("1", "Processing", PLATFORM_MS),
        ("2", "Fail", PLATFORM_MS),
        ("3", "Processing", PLATFORM_MS),
        ("4", "Fail", PLATFORM_MS),
        ("5", "Processing", PLATFORM_MS - 60 * MINUTE_MS),
    ] {
        let body = of_2020(status, request_id);
        assert_eq!(host.push(&body, now_ms).report.outcome, "recorded");
        assert_eq!(host.task().status, status, "{request_id}");
        let again = host.push(&body, now_ms + 1);
        assert_eq!(again.report.outcome, "duplicate", "{request_id}");
        assert_eq!(host.task().status, status, "{request_id}");
    }
    assert_eq!((host.task().events, host.task().duplicates), (5, 5));
}

/// The skew in the report of a push.
fn skew_ms(body: &Value, now_ms: u64) -> Option<i64> {
    Host::default().push(body, now_ms).report.skew_ms
}

#[test]
fn a_push_without_a_signature_shows_only_a_slow_clock() {
    let skew_ms = |now_ms| skew_ms(&dated("Fail", PLATFORM_MS), now_ms);
    assert_eq!(skew_ms(PLATFORM_MS - 1), Some(-1));
    assert_eq!(skew_ms(PLATFORM_MS - 10 * MINUTE_MS), Some(-600_000));
    // Pushes may be up to a day late.
    assert_eq!(skew_ms(PLATFORM_MS), None);
    assert_eq!(skew_ms(PLATFORM_MS + 1440 * MINUTE_MS), None);
    let undated = of_2020("Fail", "1");
    assert_eq!(self::skew_ms(&undated, PLATFORM_MS), None);
}

#[test]
fn a_signature_shows_how_far_the_clock_is_off_even_if_it_is_refused() {
    // For the token `aaa`, at `PLATFORM_MS`.
    let signed = [
        (
            "signature",
            "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38",
        ),
        ("timestamp", "1604458421"),
        ("nonce", "IkOaKMDalrAzUTxC"),
    ];
    for (mode, outside) in [("enforce", 401), ("report", 200)] {
        let host = || Host {
            settings: vec![("BATCHTASK_SIGNATURE", mode), ("BATCHTASK_TOKEN", "aaa")],
            ..Host::default()
        };
        for (minutes, status) in [(0, 200), (4, 200), (-4, 200), (6, outside), (-6, outside)] {
            let skew_ms = minutes * 60_000;
            let now_ms = PLATFORM_MS.saturating_add_signed(skew_ms);
            // The skew is that of the signature, not that of the event.
            let body = dated("Fail", PLATFORM_MS + MINUTE_MS);
            let response = host().post(&body, &signed, now_ms);
            let found = (response.status, response.report.skew_ms);
            assert_eq!(found, (status, Some(skew_ms)), "{mode}");
            let reject = host().post(&json!({}), &signed, now_ms);
            assert_eq!(reject.report.skew_ms, Some(skew_ms), "{mode}");
        }
        let incomplete = host().post(&dated("Fail", PLATFORM_MS), &signed[..2], PLATFORM_MS);
        assert_eq!(incomplete.report.skew_ms, None);
    }
}

#[test]
fn a_message_of_another_channel_shows_a_slow_clock_too() {
    let settings = settings(&[]);
    let receiver = Receiver {
        journal: &MemoryJournal::default(),
        settings: &settings,
        now_ms: PLATFORM_MS - 7,
    };
    let body = dated("Fail", PLATFORM_MS).to_string().into_bytes();
    let source = batchtask_guest::journal::Source::Amqp;
    let Decision::Write(write) = receiver.decide_message(source, body) else {
        panic!("expected an entry to store");
    };
    assert_eq!(write.response.report.skew_ms, Some(-7));
}
