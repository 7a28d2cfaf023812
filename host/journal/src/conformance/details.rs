//! What the platform tells about a task besides its events.

use std::time::Duration;

use super::fixture::{Fixture, NOW_MS, Suite, all_tasks, event};
use crate::{Details, Error, Event, FailedDevice, Policy, Progress, Task};

/// The rank of `Success`.
const FINAL: u8 = 5;

/// Details of a task of the application `app`.
pub(super) fn details(task_id: &str, name: &str, at_ms: u64) -> Details {
    Details {
        app_id: "app".into(),
        task_id: task_id.into(),
        at_ms,
        name: Some(name.into()),
        policy: Some(Policy {
            schedule_time: Some("20260131T120000Z".into()),
            retry_count: Some(3),
            retry_interval: None,
        }),
        progress: Some(Progress {
            total: 36,
            processing: 1,
            success: 2,
            fail: 3,
            waiting: 4,
            fail_wait_retry: 5,
            stopped: 6,
            removed: u32::MAX,
            at_ms,
        }),
        failed_devices: None,
    }
}

fn failed(device: &str) -> FailedDevice {
    FailedDevice {
        device: device.into(),
        error_code: Some("OTA.0001".into()),
        error_msg: None,
    }
}

/// The parts of a task that come from details, as a text to compare.
fn described(task: &Task) -> String {
    let Task {
        name,
        policy,
        progress,
        failed_devices,
        ..
    } = task;
    format!("{name:?} {policy:?} {progress:?} {failed_devices:?}")
}

/// The same of details.
fn text(details: &Details) -> String {
    let devices = details.failed_devices.clone().unwrap_or_default();
    let Details {
        name,
        policy,
        progress,
        ..
    } = details;
    format!("{name:?} {policy:?} {progress:?} {devices:?}")
}

async fn describe(journal: &Fixture, details: &[&Details]) {
    let details = details.iter().map(|it| (*it).clone()).collect();
    journal.describe(details).await.expect("described");
}

pub(super) async fn details_are_returned_with_their_task(suite: Suite) {
    if !suite.capabilities.details {
        return;
    }
    let mut journal = suite.journal().await;
    for task in ["one", "other", "bare"] {
        journal.record(event(task, "Processing", 1)).await;
    }
    let one = Details {
        failed_devices: Some(vec![failed("device 1"), failed("nul \0, 日本")]),
        ..details("one", "a \"name\" with \0 and 日本", NOW_MS)
    };
    let other = Details {
        name: None,
        policy: None,
        progress: None,
        ..details("other", "", NOW_MS)
    };
    // Details of an unknown task are ignored.
    let unknown = details("unknown", "name", NOW_MS);
    describe(&journal, &[&one, &unknown, &other]).await;
    for reopened in [false, true] {
        if reopened {
            if !suite.capabilities.durable {
                return;
            }
            journal = journal.reopen().await;
        }
        assert_eq!(described(&journal.task("one").await), text(&one));
        assert_eq!(described(&journal.task("other").await), text(&other));
        let bare = Details::default();
        assert_eq!(described(&journal.task("bare").await), text(&bare));
        let unknown = journal.find_task("app", "unknown").await.unwrap();
        assert!(unknown.is_none());
        for task in journal.tasks(&all_tasks()).await.tasks {
            let alone = Task {
                failed_devices: Vec::new(),
                ..journal.task(&task.task_id).await
            };
            assert_eq!(described(&task), described(&alone), "no devices in a list");
        }
    }
}

pub(super) async fn details_without_devices_keep_the_devices(suite: Suite) {
    if !suite.capabilities.details {
        return;
    }
    let journal = suite.journal().await;
    journal.record(event("task", "Fail", 1)).await;
    let first = Details {
        failed_devices: Some(vec![failed("device")]),
        ..details("task", "first", NOW_MS)
    };
    let second = details("task", "second", NOW_MS);
    describe(&journal, &[&first, &second]).await;
    let task = journal.task("task").await;
    assert_eq!(task.name.as_deref(), Some("second"));
    assert_eq!(task.failed_devices.len(), 1);
    let third = Details {
        failed_devices: Some(Vec::new()),
        ..details("task", "third", NOW_MS + 1)
    };
    describe(&journal, &[&third]).await;
    assert!(journal.task("task").await.failed_devices.is_empty());
}

pub(super) async fn older_details_change_nothing(suite: Suite) {
    if !suite.capabilities.details {
        return;
    }
    let journal = suite.journal().await;
    journal.record(event("task", "Fail", 1)).await;
    let newer = details("task", "newer", NOW_MS);
    let older = Details {
        failed_devices: Some(vec![failed("device")]),
        ..details("task", "older", NOW_MS - 1)
    };
    describe(&journal, &[&newer]).await;
    describe(&journal, &[&older]).await;
    assert_eq!(described(&journal.task("task").await), text(&newer));
}

pub(super) async fn details_change_no_event_and_no_state(suite: Suite) {
    if !suite.capabilities.details {
        return;
    }
    let journal = suite.journal().await;
    journal.record(event("task", "Processing", 1)).await;
    let before = journal.task("task").await;
    describe(&journal, &[&details("task", "name", NOW_MS)]).await;
    journal.record(event("task", "Success", 2)).await;
    let after = journal.task("task").await;
    assert_eq!(after.name.as_deref(), Some("name"), "an event keeps them");
    assert_eq!((before.events, after.events), (1, 2));
    assert_eq!(after.last_received_at_ms, before.last_received_at_ms);
    assert_eq!(journal.history("task").await.len(), 2);
    if suite.capabilities.feed {
        assert_eq!(*journal.last_seq().borrow(), 2);
    }
}

pub(super) async fn details_end_with_their_task(suite: Suite) {
    if !suite.capabilities.details || !suite.capabilities.prune {
        return;
    }
    let journal = suite.journal().await;
    let old = |status: &str, at: u64| Event {
        rank: FINAL,
        received_at_ms: 10,
        ..event("task", status, at)
    };
    journal.record(old("Success", 1)).await;
    describe(&journal, &[&details("task", "name", NOW_MS)]).await;
    assert_eq!(journal.prune(11).await.expect("pruned").events, 1);
    journal.record(old("Stopped", 2)).await;
    assert_eq!(journal.task("task").await.name, None);
}

pub(super) async fn a_claim_is_kept_by_its_holder(suite: Suite) {
    let journal = suite.journal().await;
    let minute = Duration::from_secs(60);
    let claim = |duty: &'static str, holder: &'static str, time| {
        let journal = journal.shared();
        async move { journal.claim(duty, holder, time).await.expect("claimed") }
    };
    assert!(claim("duty", "one", minute).await);
    assert!(claim("duty", "one", minute).await);
    assert!(claim("another duty", "other", minute).await);
    if journal.is_shared() {
        assert!(!claim("duty", "other", minute).await);
        assert!(claim("duty", "one", Duration::ZERO).await);
        assert!(claim("duty", "other", minute).await);
        assert!(!claim("duty", "one", minute).await);
    }
}

pub(super) async fn a_journal_without_details_says_so(suite: Suite) {
    if suite.capabilities.details {
        return;
    }
    let journal = suite.journal().await;
    let refused = journal.describe(vec![details("task", "name", 1)]).await;
    assert!(matches!(refused, Err(Error::Unsupported(_))));
}
