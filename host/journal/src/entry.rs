//! Something to make durable.

use batchtask_guest::journal::{DIGEST_BYTES, SIGNATURE_BYTES, is_undated};

use crate::page::{ITEM_OVERHEAD_BYTES, event_bytes, reject_bytes};
use crate::{Error, Event, Reject, SignatureUse};

/// Something to make durable, with the signature that it came with.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A change of a task.
    Event(Event, Option<SignatureUse>),
    /// A body that is no notification, for the quarantine.
    Reject(Reject, Option<SignatureUse>),
    /// Nothing but the commit itself: it shows that the journal can be written.
    Probe,
}

impl Entry {
    /// Checks everything that a backend relies on: ids are not empty, digests
    /// have 32 bytes, a signature has 64 lower-case hexadecimal digits, and
    /// instants fit into an `i64`.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with the reason.
    pub fn check(&self) -> Result<(), Error> {
        let signature = match self {
            Self::Event(event, signature) => {
                check_event(event)?;
                signature
            }
            Self::Reject(reject, signature) => {
                check_instant(reject.received_at_ms)?;
                signature
            }
            Self::Probe => &None,
        };
        signature.as_ref().map_or(Ok(()), check_signature)
    }

    /// About how many bytes of memory the entry holds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(event, _) => event_bytes(event),
            Self::Reject(reject, _) => reject_bytes(reject),
            Self::Probe => ITEM_OVERHEAD_BYTES,
        }
    }
}

/// When a new event of a task happened, as a backend stores it:
/// `last_occurred_at_ms` is that of the task's greatest event. An event without a
/// time that can be read comes after it, because only the order of arrival is
/// known, and two arrivals may share a millisecond, or the clock may go back.
pub fn placed_at_ms(event: &Event, last_occurred_at_ms: u64) -> u64 {
    if is_undated(event) {
        event
            .occurred_at_ms
            .max(last_occurred_at_ms.saturating_add(1))
    } else {
        event.occurred_at_ms
    }
}

fn check_event(event: &Event) -> Result<(), Error> {
    for (name, id) in [("app_id", &event.app_id), ("task_id", &event.task_id)] {
        if id.is_empty() {
            return Err(Error::Unsupported(format!("`{name}` is empty")));
        }
    }
    check_digest(&event.digest)?;
    check_instant(event.occurred_at_ms)?;
    check_instant(event.received_at_ms)
}

fn check_signature(signature: &SignatureUse) -> Result<(), Error> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = &signature.signature;
    if text.len() != SIGNATURE_BYTES || !text.bytes().all(is_digit) {
        return Err(Error::Unsupported(format!(
            "a signature has {SIGNATURE_BYTES} lower-case hexadecimal digits, unlike `{text}`"
        )));
    }
    check_digest(&signature.digest)
    // An expiry beyond an `i64` is 292 million years away: backends cut it off.
}

fn check_digest(digest: &[u8]) -> Result<(), Error> {
    if digest.len() == DIGEST_BYTES {
        return Ok(());
    }
    let found = digest.len();
    Err(Error::Unsupported(format!(
        "a digest has {DIGEST_BYTES} bytes, not {found}"
    )))
}

/// An instant that does not fit is refused, not cut off: two of them would
/// change places.
fn check_instant(ms: u64) -> Result<(), Error> {
    i64::try_from(ms)
        .map(drop)
        .map_err(|_| Error::Unsupported(format!("the instant {ms} ms is beyond the calendar")))
}
