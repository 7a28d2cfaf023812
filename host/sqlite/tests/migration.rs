//! A journal of version 0.1 can be opened and migrated, and its reads have the same
//! results.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use batchtask_journal::{
    Appended, Class, Entry, EventFlags, Journal, SignatureUse, Source, StoredEvent, Task, TaskQuery,
};
use batchtask_notification::time::rfc3339;
use batchtask_notification::{from_hex, hex};
use batchtask_sqlite::{Options, SqliteJournal};
use serde_json::Value;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v0.1");
    folder.join(name)
}

/// Returns an answer of version 0.1.
fn answer(name: &str) -> Value {
    let text = fs::read(fixture(name)).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

/// Copies the journal to a temporary folder and opens the copy.
fn migrated() -> (SqliteJournal, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("journal.db");
    fs::copy(fixture("journal.sqlite"), &path).expect("a copy");
    let journal = SqliteJournal::open(path, Options::default()).expect("migrated");
    (journal, folder)
}

/// The flags in the words of version 0.1.
const FLAG_WORDS: [(EventFlags, &str); 7] = [
    (EventFlags::TIME_MISMATCH, "time_mismatch"),
    (EventFlags::CLOCK_SKEW, "clock_skew"),
    (EventFlags::UNKNOWN_STATUS, "unknown_status"),
    (EventFlags::UNKNOWN_TYPE, "unknown_type"),
    (EventFlags::LEGACY_FORM, "legacy_form"),
    (EventFlags::NO_EVENT_TIME, "no_event_time"),
    (EventFlags::EXTRA_FIELDS, "extra_fields"),
];

fn flag_words(flags: EventFlags) -> Vec<&'static str> {
    let present = FLAG_WORDS.iter().filter(|(flag, _)| flags & *flag == *flag);
    present.map(|(_, word)| *word).collect()
}

/// Returns the flags of an answer, without those that are computed for an answer.
fn stored_flags(answer: &Value) -> Vec<&str> {
    let words = answer["flags"].as_array().expect("flags").iter();
    let is_stored = |word: &&str| FLAG_WORDS.iter().any(|(_, known)| known == word);
    words.filter_map(Value::as_str).filter(is_stored).collect()
}

#[track_caller]
fn assert_event(stored: &StoredEvent, answer: &Value) {
    let event = &stored.event;
    for (member, found) in [
        ("app_id", Some(&event.app_id)),
        ("task_id", Some(&event.task_id)),
        ("task_type", Some(&event.task_type)),
        ("status", Some(&event.status)),
        ("status_desc", Some(&event.status_desc)),
        ("event_time", event.event_time.as_ref()),
        ("event_time_ms", event.event_time_ms.as_ref()),
        ("signature", event.signature.as_ref()),
        ("digest", Some(&hex(&event.digest))),
        ("occurred_at", Some(&rfc3339(event.occurred_at_ms))),
        ("received_at", Some(&rfc3339(event.received_at_ms))),
    ] {
        assert_eq!(
            found.map(String::as_str),
            answer[member].as_str(),
            "{member}"
        );
    }
    let body = String::from_utf8(event.body.clone()).expect("UTF-8");
    assert_eq!(body, answer["body"].as_str().expect("a body"));
    assert_eq!(stored.seq, answer["seq"]);
    assert_eq!(stored.duplicates, answer["duplicates"]);
    assert_eq!(
        Value::from(stored.request_ids.clone()),
        answer["request_ids"]
    );
    assert_eq!(flag_words(event.flags), stored_flags(answer));
    assert_eq!(event.source, Source::Push);
}

#[track_caller]
fn assert_task(task: &Task, answer: &Value) {
    for (member, found) in [
        ("app_id", &task.app_id),
        ("task_id", &task.task_id),
        ("task_type", &task.task_type),
        ("status", &task.status),
        ("status_desc", &task.status_desc),
        ("occurred_at", &rfc3339(task.occurred_at_ms)),
        ("first_occurred_at", &rfc3339(task.first_occurred_at_ms)),
        ("last_received_at", &rfc3339(task.last_received_at_ms)),
    ] {
        assert_eq!(Some(found.as_str()), answer[member].as_str(), "{member}");
    }
    let class = match answer["class"].as_str() {
        Some("open") => Class::Open,
        Some("retryable") => Class::Retryable,
        _ => Class::Final,
    };
    let ranks = batchtask_guest::journal::ranks(class);
    assert!(ranks.contains(&task.rank), "{}", task.task_id);
    assert_eq!(task.events, answer["events"]);
    assert_eq!(task.duplicates, answer["duplicates"]);
    assert_eq!(Value::from(task.request_ids.clone()), answer["request_ids"]);
    assert_eq!(flag_words(task.flags), stored_flags(answer));
}

#[tokio::test]
async fn events_are_the_same() {
    let (journal, _folder) = migrated();
    let events = journal.events_after(0, 500).await.unwrap();
    let answer = answer("events.json");
    let expected = answer["events"].as_array().unwrap();
    assert_eq!(events.len(), expected.len());
    for (stored, answer) in events.iter().zip(expected) {
        assert_event(stored, answer);
    }
    assert_eq!(*journal.last_seq().borrow(), answer["last_seq"]);
}

#[tokio::test]
async fn tasks_are_the_same() {
    let (journal, _folder) = migrated();
    let tasks = journal.list_tasks(&TaskQuery::all()).await.unwrap().tasks;
    let answer = answer("tasks.json");
    let expected = answer["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), expected.len());
    let mut by_rank = BTreeMap::new();
    for (task, answer) in tasks.iter().zip(expected) {
        assert_task(task, answer);
        *by_rank.entry(task.rank).or_insert(0) += 1;
    }
    let summary = journal.summarize(0).await.unwrap();
    let mut counted = BTreeMap::new();
    for count in summary.statuses {
        *counted.entry(count.rank).or_insert(0) += count.tasks;
    }
    assert_eq!(counted, by_rank);
}

#[tokio::test]
async fn a_history_is_the_same() {
    let (journal, _folder) = migrated();
    let page = journal.list_history("app", "twice", None, 500).await;
    let events = page.unwrap().events;
    let answer = answer("history.json");
    assert_eq!(events.len(), answer["events"].as_array().unwrap().len());
    assert_event(&events[0], &answer["events"][0]);
}

#[tokio::test]
async fn the_quarantine_is_the_same() {
    let (journal, _folder) = migrated();
    let page = journal.list_quarantine(None, 500).await.unwrap();
    let answer = answer("quarantine.json");
    let expected = answer["rejects"].as_array().unwrap();
    assert_eq!(page.rejects.len(), expected.len());
    assert_eq!(page.dropped, answer["dropped"]);
    for (kept, answer) in page.rejects.iter().zip(expected) {
        let reject = &kept.reject;
        assert_eq!(kept.seq, answer["seq"]);
        assert_eq!(rfc3339(reject.received_at_ms), answer["received_at"]);
        assert_eq!(reject.reason, answer["reason"]);
        assert_eq!(reject.detail, answer["detail"]);
        assert_eq!(reject.pointer.as_deref(), answer["pointer"].as_str());
        assert_eq!(reject.body.len() as u64, answer["bytes"]);
        match answer["body"].as_str() {
            Some(body) => assert_eq!(reject.body, body.as_bytes()),
            None => assert_eq!(reject.body, b"not json \xff\xfe"),
        }
    }
}

#[tokio::test]
async fn it_can_be_written() {
    let (journal, _folder) = migrated();
    let events = journal.events_after(0, 500).await.unwrap();
    let known = events[0].event.clone();
    let mut new = known.clone();
    new.status = "Stopped".into();
    new.source = Source::Reconcile;
    new.digest = from_hex(&"5a".repeat(32)).unwrap();
    let signature = |event: &batchtask_journal::Event| SignatureUse {
        signature: "0".repeat(64),
        digest: event.digest.clone(),
        expires_at_ms: u64::MAX,
    };
    let batch = vec![
        Entry::Event(known.clone(), None),
        Entry::Event(new.clone(), Some(signature(&new))),
        Entry::Event(known.clone(), Some(signature(&known))),
    ];
    let outcomes = journal.commit(batch).await.unwrap();
    let expected = [Appended::Duplicate, Appended::Recorded, Appended::Replayed];
    assert_eq!(outcomes, expected);
    let last = events.len() as u64;
    let added = journal.events_after(last, 500).await.unwrap();
    assert_eq!((added.len(), added[0].seq), (1, last + 1));
    assert_eq!(added[0].event.source, Source::Reconcile);
}
