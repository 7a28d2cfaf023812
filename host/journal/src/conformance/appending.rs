//! The stored content of an entry, and the outcomes of a batch.

use super::fixture::{NOW_MS, Suite, digest, event, reject};
use crate::{Appended, Entry, Event, EventFlags, Source};

pub(super) async fn an_event_is_recorded_word_for_word(suite: Suite) {
    let journal = suite.journal().await;
    let sent = Event {
        event_time: Some("20231114T221320Z".into()),
        event_time_ms: Some("2023-11-14T22:13:20.000Z".into()),
        request_id: Some("request".into()),
        signature: Some("matched".into()),
        status_desc: "nul \0 and 日本".into(),
        source: Source::Amqp,
        flags: EventFlags::LEGACY_FORM | EventFlags::EXTRA_FIELDS,
        body: vec![0, 159, 146, 150],
        ..event("task", "Processing", NOW_MS)
    };
    journal.record(sent.clone()).await;
    let kept = journal.history("task").await.remove(0);
    assert_eq!(format!("{:?}", kept.event), format!("{sent:?}"));
    assert_eq!((kept.duplicates, kept.late), (0, false));
    assert_eq!(kept.request_ids, ["request"]);
    let task = journal.task("task").await;
    let state = (task.app_id, task.task_id, task.task_type, task.status);
    let expected = (sent.app_id, sent.task_id, sent.task_type, sent.status);
    assert_eq!(state, expected);
    assert_eq!(task.status_desc, sent.status_desc);
    assert_eq!((task.occurred_at_ms, task.rank), (NOW_MS, 2));
    assert_eq!(task.first_occurred_at_ms, NOW_MS);
    assert_eq!(task.last_received_at_ms, NOW_MS);
    assert_eq!((task.events, task.duplicates), (1, 0));
}

pub(super) async fn an_event_without_options_is_recorded(suite: Suite) {
    let journal = suite.journal().await;
    let sent = Event {
        event_time: None,
        event_time_ms: None,
        request_id: None,
        signature: None,
        body: Vec::new(),
        ..event("task", "", 0)
    };
    journal.record(sent.clone()).await;
    let kept = journal.history("task").await.remove(0);
    assert_eq!(format!("{:?}", kept.event), format!("{sent:?}"));
    assert!(kept.request_ids.is_empty());
}

pub(super) async fn every_source_is_kept(suite: Suite) {
    let journal = suite.journal().await;
    let sources = [Source::Push, Source::Amqp, Source::Reconcile];
    for (at, source) in (1..).zip(sources) {
        let sent = Event {
            source,
            ..event("task", "Processing", at)
        };
        journal.record(sent).await;
    }
    let kept = journal.history("task").await;
    let kept: Vec<Source> = kept.iter().map(|stored| stored.event.source).collect();
    assert_eq!(kept, sources);
}

pub(super) async fn every_flag_is_kept(suite: Suite) {
    let journal = suite.journal().await;
    let flags = [
        EventFlags::TIME_MISMATCH,
        EventFlags::CLOCK_SKEW,
        EventFlags::UNKNOWN_STATUS,
        EventFlags::UNKNOWN_TYPE,
        EventFlags::LEGACY_FORM,
        EventFlags::NO_EVENT_TIME,
        EventFlags::EXTRA_FIELDS,
        EventFlags::IRREGULAR_FIELDS,
        EventFlags::RECONCILED,
    ];
    for (at, flags) in (1..).zip(flags) {
        let sent = Event {
            flags,
            ..event("task", "Processing", at)
        };
        journal.record(sent).await;
    }
    let kept = journal.history("task").await;
    let kept: Vec<_> = kept.iter().map(|stored| stored.event.flags).collect();
    assert_eq!(kept, flags);
}

pub(super) async fn the_same_digest_is_a_duplicate(suite: Suite) {
    let journal = suite.journal().await;
    let exact = suite.capabilities.exact_totals;
    let (repeated, duplicates) = if exact { ("b", 3) } else { ("c", 2) };
    for (request_id, outcome) in [
        ("b", Appended::Recorded),
        ("a", Appended::Duplicate),
        (repeated, Appended::Duplicate),
        ("a", Appended::Duplicate),
    ] {
        let again = Event {
            request_id: Some(request_id.into()),
            ..event("task", "Success", NOW_MS)
        };
        assert_eq!(journal.append(again).await, outcome);
    }
    let ids: &[&str] = if exact { &["a", "b"] } else { &["a", "b", "c"] };
    let kept = journal.history("task").await.remove(0);
    assert_eq!(kept.duplicates, duplicates);
    assert_eq!(kept.request_ids, ids);
    let task = journal.task("task").await;
    assert_eq!((task.events, task.duplicates), (1, duplicates));
    assert_eq!(task.request_ids, ids);
}

pub(super) async fn the_first_arrival_of_a_digest_is_kept(suite: Suite) {
    let journal = suite.journal().await;
    journal.record(event("task", "Success", NOW_MS)).await;
    let again = Event {
        body: b"another body".to_vec(),
        received_at_ms: NOW_MS + 1,
        source: Source::Amqp,
        flags: EventFlags::EXTRA_FIELDS,
        ..event("task", "Success", NOW_MS)
    };
    assert_eq!(journal.append(again).await, Appended::Duplicate);
    let kept = journal.history("task").await.remove(0);
    assert_eq!(kept.event.body, b"{}");
    assert_eq!(kept.event.received_at_ms, NOW_MS);
    assert_eq!(kept.event.source, Source::Push);
    let task = journal.task("task").await;
    assert_eq!(task.flags, EventFlags::empty());
    assert_eq!(task.last_received_at_ms, NOW_MS);
}

pub(super) async fn entries_of_a_batch_see_one_another(suite: Suite) {
    let journal = suite.journal().await;
    let sent = |request_id: &str, at| {
        let event = Event {
            request_id: Some(request_id.into()),
            ..event("task", "Processing", at)
        };
        Entry::Event(event, None)
    };
    let batch = vec![sent("a", 1), sent("b", 1), sent("c", 2), sent("d", 1)];
    let outcomes = journal.commit_all(batch).await;
    let expected = [
        Appended::Recorded,
        Appended::Duplicate,
        Appended::Recorded,
        Appended::Duplicate,
    ];
    assert_eq!(outcomes, expected);
    let task = journal.task("task").await;
    assert_eq!((task.events, task.duplicates), (2, 2));
    assert_eq!(task.request_ids, ["a", "b", "c", "d"]);
}

pub(super) async fn a_batch_has_one_outcome_for_each_entry(suite: Suite) {
    let journal = suite.journal().await;
    let known = event("known", "Success", 1);
    journal.record(known.clone()).await;
    let batch = vec![
        Entry::Probe,
        Entry::Event(known, None),
        Entry::Reject(reject(b"body"), None),
        Entry::Event(event("new", "Success", 1), None),
        Entry::Probe,
    ];
    let outcomes = journal.commit_all(batch).await;
    let mut expected = [Appended::Recorded; 5];
    expected[1] = Appended::Duplicate;
    assert_eq!(outcomes, expected);
    assert_eq!(journal.quarantined().await, 1);
    assert_eq!(journal.task("new").await.status, "Success");
}

pub(super) async fn tasks_of_two_applications_are_two_tasks(suite: Suite) {
    let journal = suite.journal().await;
    journal.record(event("task", "Success", NOW_MS)).await;
    let other = Event {
        app_id: "other".into(),
        digest: digest(&"other"),
        ..event("task", "Fail", 1)
    };
    journal.record(other).await;
    assert_eq!(journal.task("task").await.status, "Success");
    let other = journal.find_task("other", "task").await.unwrap().unwrap();
    assert_eq!((other.status.as_str(), other.events), ("Fail", 1));
}

pub(super) async fn an_unknown_task_is_none(suite: Suite) {
    let journal = suite.journal().await;
    journal.record(event("task", "Success", NOW_MS)).await;
    for (app_id, task_id) in [("none", "task"), ("app", "none"), ("task", "app")] {
        let found = journal.find_task(app_id, task_id).await.unwrap();
        assert!(found.is_none(), "{app_id} {task_id}");
    }
}

pub(super) async fn the_least_request_ids_are_listed(suite: Suite) {
    if !suite.capabilities.exact_totals {
        return;
    }
    for reverse in [false, true] {
        let journal = suite.journal().await;
        let mut ids: Vec<String> = (0..40).map(|id| format!("{id:02}")).collect();
        if reverse {
            ids.reverse();
        }
        for id in ids {
            let again = Event {
                request_id: Some(id),
                ..event("task", "Success", NOW_MS)
            };
            journal.append(again).await;
        }
        let expected: Vec<String> = (0..16).map(|id| format!("{id:02}")).collect();
        assert_eq!(journal.task("task").await.request_ids, expected);
        let stored = journal.history("task").await.remove(0);
        assert_eq!(stored.request_ids, expected);
    }
}

pub(super) async fn long_request_ids_stay_in_their_event(suite: Suite) {
    let journal = suite.journal().await;
    let with_id = |id: &String| Event {
        request_id: Some(id.clone()),
        ..event("task", "Fail", 1)
    };
    let (first, second) = ("r".repeat(2000), "s".repeat(2000));
    journal.record(with_id(&first)).await;
    assert_eq!(journal.append(with_id(&second)).await, Appended::Duplicate);
    assert!(journal.task("task").await.request_ids.is_empty());
    let stored = journal.history("task").await.remove(0);
    assert!(stored.request_ids.is_empty());
    assert_eq!(stored.event.request_id, Some(first));
}
