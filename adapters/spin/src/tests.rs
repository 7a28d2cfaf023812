//! Tests of the journal with a bucket in memory, for what the conformance suite
//! does not cover, such as keys and values.

mod conformance;
mod memory;

use proptest::prelude::*;

use batchtask_guest::journal::{
    Appended, Error, Event, EventFlags, Reject, SignatureUse, Source, TaskQuery,
};

use self::memory::Memory;
use crate::bucket::Bucket;
use crate::journal::Journal;
use crate::key::{self, EVENT, EventKey, REPEAT};
use crate::limits::{MAX_KEYS, MAX_QUARANTINE_BYTES, MAX_REJECTS, MAX_VALUE_BYTES};
use crate::value::{decode_event, decode_reject, encode_event, encode_reject};

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
        source: Source::Push,
        flags: EventFlags::empty(),
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
        limit: 50,
        ..TaskQuery::all()
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
        prop::sample::select(vec![Source::Push, Source::Amqp, Source::Reconcile]),
    )
        .prop_map(
            |(at_ms, rank, status, digest, body, request_id, source)| Event {
                digest: digest.into(),
                body,
                request_id,
                source,
                ..event(at_ms, rank, status, 0)
            },
        )
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
    fn keys_have_the_order_of_events(one in any_event(), other in any_event()) {
        prop_assert_eq!(key_of(&one).cmp(&key_of(&other)), place(&one).cmp(&place(&other)));
    }

    #[test]
    fn keys_can_be_parsed_and_are_portable(event in any_event()) {
        let key = key_of(&event);
        let is_portable = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
        prop_assert!(key.len() <= 200 && key.bytes().all(is_portable));
        let read = EventKey::parse(&key).unwrap();
        prop_assert_eq!((read.occurred_at_ms, read.rank), (event.occurred_at_ms, event.rank));
        prop_assert_eq!(read.status.unwrap_or("Odd"), event.status);
    }

    #[test]
    fn any_text_can_be_parsed_as_a_key(text in "(e\\.)?[0-9a-f.é+]{0,140}") {
        let _ = EventKey::parse(&text);
        let _ = journal().list_history("a", "t", Some(&text), 1);
        let _ = journal().list_quarantine(Some(&text), 1);
        let _ = journal().list_tasks(&TaskQuery { cursor: Some(text), ..query() });
    }

    #[test]
    fn values_can_be_decoded(event in any_event(), bytes: Vec<u8>) {
        let value = encode_event(&event);
        let read = decode_event(&value).unwrap();
        prop_assert_eq!(encode_event(&read), value);
        prop_assert_eq!((read.body, read.request_id), (event.body, event.request_id));
        prop_assert_eq!(read.source, event.source);
        prop_assert!(decode_event(&bytes).is_none() && decode_reject(&bytes).is_none());
    }
}

#[test]
fn rejects_can_be_decoded() {
    let reject = Reject {
        pointer: Some("/a".into()),
        ..reject(7, 3)
    };
    let read = decode_reject(&encode_reject(&reject)).unwrap();
    assert_eq!((read.pointer, read.body), (reject.pointer, reject.body));
    assert!(decode_event(&encode_reject(&self::reject(7, 3))).is_none());
}

#[test]
fn a_repetition_without_a_request_id_is_counted_once() {
    let journal = journal();
    for request_id in [Some("r"), Some("r"), None, None] {
        let event = Event {
            request_id: request_id.map(String::from),
            ..event(1, 1, "Waitting", 1)
        };
        journal.append(&event, None).unwrap();
    }
    assert_eq!(journal.bucket.count(key::REPEAT), 2);
    let task = journal.find_task("a", "t").unwrap().unwrap();
    assert_eq!((task.events, task.duplicates), (1, 2));
    assert_eq!(task.request_ids, ["r"]);
}

/// Version 0.1 placed an event that is dated far ahead at its arrival.
#[test]
fn an_event_that_version_0_1_placed_at_its_arrival_keeps_its_place() {
    let journal = journal();
    let ahead = Event {
        flags: EventFlags::CLOCK_SKEW,
        ..event(9000, 1, "Waitting", 1)
    };
    let placed = Event {
        occurred_at_ms: 5,
        ..ahead.clone()
    };
    let task = key::task("a", "t");
    let key = key::event(&task, 5, 1, &ahead.digest, "Waitting", true);
    journal.bucket.set(&key, &encode_event(&placed)).unwrap();
    journal.bucket.set(&key::seen(&ahead.digest), &[]).unwrap();
    journal.append(&ahead, None).unwrap();
    let task = journal.find_task("a", "t").unwrap().unwrap();
    assert_eq!((task.events, task.occurred_at_ms), (1, 5));
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
    // This happens if two writers store the event at the same time.
    journal.bucket.values().remove(&key::seen(&[1; 32]));
    assert_eq!(
        journal.append(&arrived(7), None).unwrap(),
        Appended::Recorded
    );
    let task = journal.find_task("a", "t").unwrap().unwrap();
    assert_eq!((task.events, task.occurred_at_ms), (1, 5));
}

#[test]
fn the_event_after_a_page_makes_the_last_one_late() {
    let journal = journal();
    for (occurred_at_ms, received_at_ms) in [(10, 100), (30, 101), (20, 102)] {
        let digest = u8::try_from(occurred_at_ms).unwrap();
        let event = Event {
            received_at_ms,
            ..event(occurred_at_ms, 1, "Processing", digest)
        };
        journal.append(&event, None).unwrap();
    }
    let page = journal.list_history("a", "t", None, 2).unwrap();
    let late: Vec<_> = page.events.iter().map(|stored| stored.late).collect();
    assert_eq!(late, [false, true]);
}

#[test]
fn a_value_that_is_too_long_is_refused() {
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
    assert!(journal.bucket.values().is_empty());
}

/// The use of a signature, which depends on `serial`.
fn signature(serial: u64, digest: &[u8], expires_at_ms: u64) -> SignatureUse {
    SignatureUse {
        signature: format!("{serial:064x}"),
        digest: digest.into(),
        expires_at_ms,
    }
}

#[test]
fn expired_signatures_and_the_nonces_of_version_0_1_are_removed() {
    let journal = journal();
    // In the form of version 0.1: a hash of the nonce, and when it expires.
    for serial in 0..500_u64 {
        let key = format!("{}{serial:032x}", key::SIGNATURE);
        journal.bucket.set(&key, &100_u64.to_be_bytes()).unwrap();
    }
    let foreign = format!("{}foreign", key::SIGNATURE);
    journal.bucket.set(&foreign, b"short").unwrap();
    for serial in 0..5_000_u64 {
        let event = Event {
            received_at_ms: 1000 + serial,
            ..event(1, 1, "Waitting", 1)
        };
        let serial = serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let signature = signature(serial, &event.digest, event.received_at_ms + 10);
        journal.append(&event, Some(&signature)).unwrap();
    }
    let left = journal.bucket.count(key::SIGNATURE);
    assert!((10..1500).contains(&left), "{left}");
    journal
        .prune_signatures(&key::SIGNATURE.into(), 100)
        .unwrap();
    journal
        .prune_signatures(&key::SIGNATURE.into(), 100)
        .unwrap();
    let is_old = |key: &&String| key.starts_with("n.0000") && key.len() == 34;
    assert_eq!(journal.bucket.values().keys().filter(is_old).count(), 0);
    assert!(journal.bucket.exists(&foreign).unwrap());
}

#[test]
fn an_event_of_version_0_1_is_a_push() {
    let event = event(1, 1, "Waitting", 1);
    let mut value = encode_event(&event);
    value.truncate(value.len() - 8);
    value[..8].copy_from_slice(&0x6501_u64.to_be_bytes());
    let read = decode_event(&value).unwrap();
    assert_eq!((read.source, read.body), (Source::Push, event.body));
    value[..8].copy_from_slice(&0x6502_u64.to_be_bytes());
    assert!(decode_event(&value).is_none(), "it has no source");
}

#[test]
fn the_quarantine_is_bounded_and_the_oldest_rejects_are_dropped_first() {
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
    let bytes: usize = journal.bucket.values().values().map(Vec::len).sum();
    assert!(u64::try_from(bytes).unwrap() <= MAX_QUARANTINE_BYTES);
    assert_eq!(
        journal.list_quarantine(None, 1).unwrap().rejects[0].seq,
        2039
    );
}

#[test]
fn a_status_that_is_not_in_the_key_is_found() {
    let journal = journal();
    journal.append(&event(1, 2, "Odd", 1), None).unwrap();
    for (status, found) in [("Odd", 1), ("Odder", 0), ("Success", 0)] {
        let query = TaskQuery {
            statuses: vec![status.into()],
            ..query()
        };
        let page = journal.list_tasks(&query).unwrap();
        assert_eq!(page.tasks.len(), found, "{status}");
    }
}

#[test]
fn keys_of_other_programs_are_ignored() {
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
fn the_last_arrival_in_the_summary_is_that_of_the_newest_event() {
    let journal = journal();
    for (occurred_at_ms, received_at_ms) in [(9, 1000), (3, 2000)] {
        let digest = u8::try_from(occurred_at_ms).unwrap();
        let event = Event {
            received_at_ms,
            ..event(occurred_at_ms, 2, "Exploded", digest)
        };
        journal.append(&event, None).unwrap();
    }
    let summary = journal.summarize().unwrap();
    assert_eq!(summary.last_received_at_ms, Some(1000));
    assert_eq!(summary.stale, None);
}

#[test]
fn repetitions_do_not_count_as_events() {
    let journal = journal();
    let keys = |kind: &'static str| (0..MAX_KEYS).map(move |number| format!("{kind}{number}"));
    let all = keys(EVENT).chain(keys(REPEAT));
    let mut values = journal.bucket.values();
    values.extend(all.map(|key| (key, Vec::new())));
    drop(values);
    assert!(journal.list_tasks(&query()).is_ok());
    journal
        .bucket
        .values()
        .insert(format!("{EVENT}x"), Vec::new());
    let refused = journal.list_tasks(&query());
    assert!(matches!(refused, Err(Error::Unsupported(_))));
}
