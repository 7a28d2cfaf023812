//! The journal over a bucket in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::bucket::Bucket;
use crate::journal::{
    Appended, Error, Event, EventFlags, Journal, Nonce, Reject, TaskOrder, TaskQuery,
};
use crate::key::{self, EventKey};
use crate::limits::{MAX_QUARANTINE_BYTES, MAX_REJECTS, MAX_VALUE_BYTES};
use crate::value::{decode_event, decode_reject, encode_event, encode_reject};

#[derive(Default)]
struct Memory(RefCell<BTreeMap<String, Vec<u8>>>);

impl Memory {
    fn count(&self, prefix: &str) -> usize {
        let values = self.0.borrow();
        values.keys().filter(|key| key.starts_with(prefix)).count()
    }
}

impl Bucket for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.borrow().get(key).cloned())
    }
    fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.borrow().contains_key(key))
    }
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.borrow_mut().insert(key.into(), value.into());
        Ok(())
    }
    fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.borrow_mut().remove(key);
        Ok(())
    }
    fn keys(&self) -> Result<Vec<String>, Error> {
        // In no useful order.
        Ok(self.0.borrow().keys().rev().cloned().collect())
    }
}

fn journal() -> Journal<Memory> {
    Journal {
        bucket: Memory::default(),
    }
}

fn event(occurred_at_ms: u64, rank: u8, status: &str, digest: u8) -> Event {
    Event {
        app_id: "a".into(),
        task_id: "t".into(),
        task_type: "softwareUpgrade".into(),
        status: status.into(),
        status_desc: "d".into(),
        event_time: Some("20151212T121212Z".into()),
        event_time_ms: None,
        request_id: Some("r".into()),
        digest: vec![digest; 32],
        occurred_at_ms,
        rank,
        received_at_ms: 1000,
        signature: None,
        oddities: EventFlags::empty(),
        body: b"{}".into(),
    }
}

fn reject(received_at_ms: u64, bytes: usize) -> Reject {
    Reject {
        received_at_ms,
        reason: "not-json".into(),
        detail: "d".into(),
        pointer: None,
        body: vec![b'x'; bytes],
    }
}

fn query() -> TaskQuery {
    TaskQuery {
        status: None,
        ranks: (0, u8::MAX),
        task_type: None,
        app_id: None,
        text: None,
        since_ms: None,
        until_ms: None,
        order: TaskOrder::Newest,
        cursor: None,
        limit: 50,
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let status = prop::sample::select(vec!["Waitting", "Fail", "Success", "Odd"]);
    (
        any::<u64>(),
        any::<u8>(),
        status,
        any::<[u8; 32]>(),
        any::<Vec<u8>>(),
        any::<Option<String>>(),
    )
        .prop_map(|(at_ms, rank, status, digest, body, request_id)| Event {
            digest: digest.into(),
            body,
            request_id,
            ..event(at_ms, rank, status, 0)
        })
}

fn key_of(event: &Event) -> String {
    let task = key::task(&event.app_id, &event.task_id);
    let Event {
        occurred_at_ms,
        rank,
        digest,
        status,
        ..
    } = event;
    key::event(&task, *occurred_at_ms, *rank, digest, status, false)
}

fn place(event: &Event) -> (u64, u8, &[u8]) {
    (event.occurred_at_ms, event.rank, &event.digest)
}

proptest! {
    #[test]
    fn keys_sort_as_events_do(one in any_event(), other in any_event()) {
        prop_assert_eq!(key_of(&one).cmp(&key_of(&other)), place(&one).cmp(&place(&other)));
    }

    #[test]
    fn keys_come_back_and_are_portable(event in any_event()) {
        let key = key_of(&event);
        let is_portable = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
        prop_assert!(key.len() <= 200 && key.bytes().all(is_portable));
        let read = EventKey::parse(&key).unwrap();
        prop_assert_eq!((read.occurred_at_ms, read.rank), (event.occurred_at_ms, event.rank));
        prop_assert_eq!(read.status.unwrap_or("Odd"), event.status);
    }

    #[test]
    fn any_text_is_a_key_or_none(text in "(e\\.)?[0-9a-f.é+]{0,140}") {
        let _ = EventKey::parse(&text);
        let _ = journal().list_history("a", "t", Some(&text), 1);
        let _ = journal().list_quarantine(Some(&text), 1);
        let _ = journal().list_tasks(&TaskQuery { cursor: Some(text), ..query() });
    }

    #[test]
    fn values_come_back(event in any_event(), bytes: Vec<u8>) {
        let value = encode_event(&event);
        let read = decode_event(&value).unwrap();
        prop_assert_eq!(encode_event(&read), value);
        prop_assert_eq!((read.body, read.request_id), (event.body, event.request_id));
        prop_assert!(decode_event(&bytes).is_none() && decode_reject(&bytes).is_none());
    }

    /// A task is a function of the set of its events.
    #[test]
    fn order_and_repetition_change_nothing(
        events in prop::collection::vec(any_event(), 1..12),
        seed in prop::collection::vec(any::<prop::sample::Index>(), 24),
    ) {
        let straight = journal();
        for event in &events {
            straight.append(event, None).unwrap();
        }
        let shuffled = journal();
        for event in seed.iter().map(|index| index.get(&events)).chain(events.iter().rev()) {
            shuffled.append(event, None).unwrap();
        }
        let greatest = events.iter().max_by_key(|event| place(event)).unwrap();
        for journal in [straight, shuffled] {
            let task = journal.find_task("a", "t").unwrap().unwrap();
            prop_assert_eq!(&task.status, &greatest.status);
            prop_assert_eq!(task.occurred_at_ms, greatest.occurred_at_ms);
            prop_assert_eq!(task.trail.len(), usize::try_from(task.events).unwrap());
            let page = journal.list_history("a", "t", None, 500).unwrap();
            prop_assert!(page.events.is_sorted_by_key(|stored| place(&stored.event).2.to_vec().len()));
            let places: Vec<_> = page.events.iter().map(|stored| place(&stored.event)).collect();
            prop_assert!(places.is_sorted());
        }
    }
}

#[test]
fn rejects_come_back() {
    let reject = Reject {
        pointer: Some("/a".into()),
        ..reject(7, 3)
    };
    let read = decode_reject(&encode_reject(&reject)).unwrap();
    assert_eq!((read.pointer, read.body), (reject.pointer, reject.body));
    assert!(decode_event(&encode_reject(&self::reject(7, 3))).is_none());
}

#[test]
fn a_repetition_is_counted_once_for_each_request_id() {
    let journal = journal();
    let again = |request_id: Option<&str>| {
        let event = Event {
            request_id: request_id.map(String::from),
            ..event(1, 1, "Waitting", 1)
        };
        journal.append(&event, None).unwrap()
    };
    assert_eq!(again(Some("r")), Appended::Recorded);
    for request_id in [Some("r"), Some("s"), Some("s"), None] {
        assert_eq!(again(request_id), Appended::Duplicate);
    }
    let task = journal.find_task("a", "t").unwrap().unwrap();
    assert_eq!((task.events, task.duplicates), (1, 3));
    assert_eq!(task.request_ids, ["r", "s"]);
    let page = journal.list_history("a", "t", None, 1).unwrap();
    assert_eq!(page.events[0].duplicates, 3);
    assert_eq!(page.events[0].request_ids, ["r", "s"]);
}

#[test]
fn an_event_without_a_time_of_its_own_is_one_event() {
    let journal = journal();
    let arrived = |at_ms| Event {
        event_time: None,
        received_at_ms: at_ms,
        ..event(at_ms, 1, "Waitting", 1)
    };
    assert_eq!(
        journal.append(&arrived(5), None).unwrap(),
        Appended::Recorded
    );
    assert_eq!(
        journal.append(&arrived(6), None).unwrap(),
        Appended::Duplicate
    );
    // As when two writers met, or its clock was believed later.
    journal.bucket.0.borrow_mut().remove(&key::seen(&[1; 32]));
    assert_eq!(
        journal.append(&arrived(7), None).unwrap(),
        Appended::Recorded
    );
    let task = journal.find_task("a", "t").unwrap().unwrap();
    assert_eq!((task.events, task.occurred_at_ms), (1, 5));
}

#[test]
fn late_events_are_marked() {
    let journal = journal();
    for (occurred_at_ms, received_at_ms) in [(10, 100), (30, 101), (20, 102)] {
        let event = Event {
            received_at_ms,
            ..event(
                occurred_at_ms,
                1,
                "Processing",
                u8::try_from(occurred_at_ms).unwrap(),
            )
        };
        journal.append(&event, None).unwrap();
    }
    let whole = journal.list_history("a", "t", None, 10).unwrap();
    let late: Vec<_> = whole.events.iter().map(|stored| stored.late).collect();
    assert_eq!((late, whole.next), (vec![false, true, false], None));

    let first = journal.list_history("a", "t", None, 2).unwrap();
    assert!(
        first.events[1].late,
        "the one after the page was there first"
    );
    let rest = journal
        .list_history("a", "t", first.next.as_deref(), 2)
        .unwrap();
    assert_eq!(rest.events[0].event.occurred_at_ms, 30);
    assert_eq!(rest.previous_status.as_deref(), Some("Processing"));
}

#[test]
fn a_value_that_is_too_long_is_not_taken() {
    let journal = journal();
    let event = Event {
        body: vec![0; MAX_VALUE_BYTES],
        ..event(1, 1, "Waitting", 1)
    };
    assert!(matches!(journal.append(&event, None), Err(Error::Full(_))));
    let reject = reject(1, MAX_VALUE_BYTES);
    assert!(matches!(
        journal.quarantine(&reject, None),
        Err(Error::Full(_))
    ));
    assert!(journal.bucket.0.borrow().is_empty());
}

#[test]
fn a_nonce_counts_until_it_expires_and_is_removed_then() {
    let journal = journal();
    let use_at = |value: &str, now_ms| {
        let nonce = Nonce {
            value: value.into(),
            expires_at_ms: now_ms + 10,
        };
        let event = Event {
            received_at_ms: now_ms,
            ..event(1, 1, "Waitting", 1)
        };
        journal.append(&event, Some(&nonce)).unwrap()
    };
    assert_eq!(use_at("n", 1), Appended::Recorded);
    assert_eq!(use_at("n", 10), Appended::Replayed);
    assert_eq!(use_at("n", 11), Appended::Duplicate);
    for serial in 0..5_000_u64 {
        use_at(&serial.to_string(), serial);
    }
    let left = journal.bucket.count(key::NONCE);
    assert!((10..1500).contains(&left), "{left}");
}

#[test]
fn the_quarantine_is_bounded_and_the_oldest_go_first() {
    let journal = journal();
    for at_ms in 0..1000 {
        journal.quarantine(&reject(at_ms, 10), None).unwrap();
    }
    journal.prune_quarantine().unwrap();
    assert_eq!(journal.bucket.count(key::REJECT), MAX_REJECTS);
    assert_eq!(journal.bucket.count(key::DROPPED), 1);
    let (mut seqs, mut cursor) = (Vec::new(), None);
    loop {
        let page = journal.list_quarantine(cursor.as_deref(), 100).unwrap();
        assert_eq!(page.dropped, 1000 - 256);
        seqs.extend(page.rejects.iter().map(|reject| reject.seq));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seqs.into_iter().eq((744..1000).rev()));

    for at_ms in 2000..2040 {
        journal.quarantine(&reject(at_ms, 300_000), None).unwrap();
    }
    journal.prune_quarantine().unwrap();
    let bytes: usize = journal.bucket.0.borrow().values().map(Vec::len).sum();
    assert!(u64::try_from(bytes).unwrap() <= MAX_QUARANTINE_BYTES);
    assert_eq!(
        journal.list_quarantine(None, 1).unwrap().rejects[0].seq,
        2039
    );
}

#[test]
fn tasks_are_filtered() {
    let journal = journal();
    for (number, (status, rank)) in [("Waitting", 1), ("Success", 5), ("Odd", 2)]
        .into_iter()
        .enumerate()
    {
        let at = u8::try_from(number).unwrap();
        let event = Event {
            task_id: format!("Task-{number}"),
            ..event(at.into(), rank, status, at)
        };
        journal.append(&event, None).unwrap();
    }
    let found = |query: TaskQuery| {
        let page = journal.list_tasks(&query).unwrap();
        let ids = page.tasks.into_iter().map(|task| task.task_id);
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(query()), "Task-2 Task-1 Task-0");
    for (filter, expected) in [
        (
            TaskQuery {
                order: TaskOrder::Oldest,
                ..query()
            },
            "Task-0 Task-1 Task-2",
        ),
        (
            TaskQuery {
                status: Some("Success".into()),
                ..query()
            },
            "Task-1",
        ),
        (
            TaskQuery {
                status: Some("Odd".into()),
                ..query()
            },
            "Task-2",
        ),
        (
            TaskQuery {
                status: Some("Odder".into()),
                ..query()
            },
            "",
        ),
        (
            TaskQuery {
                ranks: (0, 2),
                ..query()
            },
            "Task-2 Task-0",
        ),
        (
            TaskQuery {
                since_ms: Some(1),
                until_ms: Some(2),
                ..query()
            },
            "Task-1",
        ),
        (
            TaskQuery {
                text: Some("ASK-1".into()),
                ..query()
            },
            "Task-1",
        ),
        (
            TaskQuery {
                text: Some(String::new()),
                ..query()
            },
            "Task-2 Task-1 Task-0",
        ),
        (
            TaskQuery {
                app_id: Some("b".into()),
                ..query()
            },
            "",
        ),
        (
            TaskQuery {
                task_type: Some("softwareUpgrade".into()),
                limit: 1,
                ..query()
            },
            "Task-2",
        ),
    ] {
        assert_eq!(found(filter), expected);
    }
}

#[test]
fn keys_of_others_are_left_alone() {
    let journal = journal();
    for key in [
        "e.",
        "e.x",
        "r.",
        "q.",
        "q.é",
        "d.",
        "n.",
        "config",
        "e.00.00.00.00.w",
    ] {
        journal.bucket.set(key, b"somebody else's").unwrap();
    }
    journal.append(&event(1, 1, "Waitting", 1), None).unwrap();
    assert_eq!(journal.list_tasks(&query()).unwrap().tasks.len(), 1);
    assert!(journal.find_task("a", "t").unwrap().is_some());
    assert!(journal.find_task("a", "u").unwrap().is_none());
    journal.quarantine(&reject(1, 1), None).unwrap();
    assert_eq!(journal.list_quarantine(None, 9).unwrap().rejects.len(), 1);
    journal.prune_quarantine().unwrap();
}

#[test]
fn the_summary_counts_tasks_by_the_status_they_have() {
    let journal = journal();
    let empty = journal.summarize().unwrap();
    assert!(empty.statuses.is_empty() && empty.last_received_at_ms.is_none());
    for (task, occurred_at_ms, rank, status) in [
        ("a", 1, 1, "Waitting"),
        ("a", 2, 5, "Success"),
        ("b", 1, 5, "Success"),
        ("c", 9, 2, "Exploded"),
        ("d", 3, 2, "Processing"),
    ] {
        let digest = task.as_bytes()[0] + rank;
        let event = Event {
            task_id: task.into(),
            received_at_ms: 1000 + occurred_at_ms,
            ..event(occurred_at_ms, rank, status, digest)
        };
        journal.append(&event, None).unwrap();
    }
    let summary = journal.summarize().unwrap();
    let counts: Vec<_> = summary
        .statuses
        .iter()
        .map(|count| (count.rank, count.status.as_str(), count.tasks))
        .collect();
    let expected = [(2, "Exploded", 1), (2, "Processing", 1), (5, "Success", 2)];
    assert_eq!(counts, expected);
    assert_eq!(
        (summary.last_received_at_ms, summary.stale),
        (Some(1009), None)
    );
}
