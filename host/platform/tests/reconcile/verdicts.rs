//! Single answers.

use batchtask_notification::{Flags, Notification};
use batchtask_platform::api::tasks::Task;
use batchtask_platform::reconcile::{LocalTask, Seen, TaskKey, Verdict, judge};
use serde_json::{Value, json};

use super::world::{HOUR_MS, open_task};

const DAY_MS: u64 = 24 * HOUR_MS;

/// 2026-01-01T00:00:00Z.
const DATE_MS: u64 = 1_767_225_600_000;

fn seen(task: Value) -> Seen {
    let mut whole = json!({"task_id": "t", "task_name": "n", "task_type": "softwareUpgrade"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(task.as_object().unwrap().clone());
    let task: Task = serde_json::from_value(whole).unwrap();
    let key = TaskKey {
        app_id: "app".into(),
        task_id: "t".into(),
    };
    Seen {
        key,
        task,
        date_ms: DATE_MS + 999,
        failed_devices: None,
    }
}

fn local(status: &str, occurred_at_ms: u64) -> LocalTask {
    LocalTask {
        status: status.into(),
        ..open_task("t", occurred_at_ms)
    }
}

#[test]
fn a_change_that_no_push_reported_is_found() {
    let seen = seen(json!({"status": "Success", "status_desc": "done"}));
    let verdict = judge(&seen, Some(&local("Processing", DATE_MS - 5001)), DAY_MS);
    let Verdict::Found(details, event) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(details.name, "n");
    assert_eq!(
        (event.status.as_str(), event.status_desc.as_str()),
        ("Success", "done")
    );
    assert_eq!(
        (event.event_time.as_str(), event.occurred_at_ms),
        ("20260101T000000Z", DATE_MS)
    );
    let notification = Notification::parse(&event.notification()).unwrap();
    assert_eq!(notification.status(), "Success");
    let stored = notification.into_event(0).reconciled();
    assert_eq!(stored.occurred_at_ms, DATE_MS - 1);
    assert_eq!(stored.flags, Flags::RECONCILED | Flags::CLOCK_SKEW);
}

#[test]
fn the_same_status_is_no_event() {
    let seen = seen(json!({"status": "Processing", "status_desc": "other words"}));
    let verdict = judge(&seen, Some(&local("Processing", 0)), DAY_MS);
    assert!(matches!(verdict, Verdict::Same(_)), "{verdict:?}");
    // An answer that lacks the status or the type says nothing about it.
    let statuses = [("", "softwareUpgrade"), ("Success", "")];
    for (status, task_type) in statuses {
        let seen = Seen {
            task: Task {
                status: status.into(),
                task_type: task_type.into(),
                ..seen.task.clone()
            },
            ..seen.clone()
        };
        let verdict = judge(&seen, Some(&local("Processing", 0)), DAY_MS);
        assert!(matches!(verdict, Verdict::Same(_)), "{verdict:?}");
    }
}

#[test]
fn what_may_be_newer_than_the_answer_stays() {
    let seen = seen(json!({"status": "Processing"}));
    for occurred_at_ms in [DATE_MS - 5000, DATE_MS, DATE_MS + 500, DATE_MS + 60_000] {
        let verdict = judge(&seen, Some(&local("Fail", occurred_at_ms)), DAY_MS);
        assert!(matches!(verdict, Verdict::Overtaken(_)), "{verdict:?}");
    }
    let verdict = judge(&seen, Some(&local("Fail", DATE_MS - 5001)), DAY_MS);
    assert!(matches!(verdict, Verdict::Found(..)), "{verdict:?}");
    for status in ["Success", "Stopped"] {
        let verdict = judge(&seen, Some(&local(status, 0)), DAY_MS);
        assert!(
            matches!(verdict, Verdict::Overtaken(_)),
            "final: {verdict:?}"
        );
    }
}

#[test]
fn upgrades_that_are_open_or_recent_are_adopted() {
    for (task, is_adopted) in [
        (
            json!({"status": "Processing", "create_time": "20240101T000000Z"}),
            true,
        ),
        (
            json!({"status": "Success", "create_time": "20251231T000001Z"}),
            true,
        ),
        (
            json!({"status": "Success", "create_time": "20251230T235959Z"}),
            false,
        ),
        (json!({"status": "Success"}), false),
        (
            json!({"status": "Fail", "create_time": "20250101T000000Z",
            "task_policy": {"schedule_time": "20251231T120000Z"}}),
            true,
        ),
        (
            json!({"status": "Processing", "task_type": "createCommands"}),
            false,
        ),
        (
            json!({"status": "Processing", "task_type": "firmwareUpgrade"}),
            true,
        ),
        (json!({"status": ""}), false),
    ] {
        let verdict = judge(&seen(task.clone()), None, DAY_MS);
        let found = matches!(verdict, Verdict::Found(..));
        assert_eq!(found, is_adopted, "{task}: {verdict:?}");
        assert!(found || verdict == Verdict::Foreign);
    }
}
