//! Entries to store.

use batchtask_journal::{Entry, Event, EventFlags, Reject, SignatureUse, Source};

/// The time of every arrival, in milliseconds since 1970.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

/// Returns the event with this number. Its digest is that of the number.
pub(crate) fn event(task: &str, number: u64) -> Event {
    Event {
        app_id: "app".into(),
        task_id: task.into(),
        task_type: "softwareUpgrade".into(),
        status: "Processing".into(),
        status_desc: String::new(),
        event_time: Some("20231114T221320Z".into()),
        event_time_ms: None,
        request_id: Some(format!("request-{number}")),
        digest: digest(number),
        occurred_at_ms: NOW_MS + number,
        rank: 2,
        received_at_ms: NOW_MS,
        source: Source::Push,
        signature: None,
        flags: EventFlags::empty(),
        body: vec![b'x'; 600],
    }
}

/// Returns an entry with the event of this number, of one of many tasks.
pub(crate) fn entry(number: u64) -> Entry {
    Entry::Event(event(&format!("task-{}", number % 97), number), None)
}

pub(crate) fn digest(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(4)
}

/// Returns the number of an event's digest.
pub(crate) fn number(digest: &[u8]) -> u64 {
    let first = digest.first_chunk().expect("a digest");
    u64::from_be_bytes(*first)
}

/// Returns a signature for the event of this number.
pub(crate) fn signature(name: u8, number: u64) -> SignatureUse {
    SignatureUse {
        signature: format!("{name:02x}").repeat(32),
        digest: digest(number),
        expires_at_ms: NOW_MS + 300_000,
    }
}

pub(crate) fn reject(bytes: usize) -> Entry {
    let reject = Reject {
        received_at_ms: NOW_MS,
        reason: "not-json".into(),
        detail: String::new(),
        pointer: None,
        body: vec![b'r'; bytes],
    };
    Entry::Reject(reject, None)
}
