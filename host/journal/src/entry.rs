//! [`Entry`]: an event or reject to make durable.

use batchtask_guest::journal::{DIGEST_BYTES, SIGNATURE_BYTES, is_undated};

use crate::page::{ITEM_OVERHEAD_BYTES, event_bytes, reject_bytes};
use crate::{Error, Event, Reject, SignatureUse};

/// An event or reject to make durable, with the signature that it came with.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A change of a task.
    Event(Event, Option<SignatureUse>),
    /// A body that is not a notification, for the quarantine.
    Reject(Reject, Option<SignatureUse>),
    /// An entry without content. Committing it shows that the journal can be written.
    Probe,
}

impl Entry {
    /// Checks everything that a backend relies on: ids are not empty, digests
    /// have 32 bytes, a signature has 64 lower-case hexadecimal digits, and
    /// times fit into an `i64`.
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

    /// Returns about how many bytes of memory the entry uses.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Event(event, _) => event_bytes(event),
            Self::Reject(reject, _) => reject_bytes(reject),
            Self::Probe => ITEM_OVERHEAD_BYTES,
        }
    }
}

/// Returns the `occurred_at_ms` that a backend stores for a new event of a task.
/// `last_occurred_at_ms` is the time of the task's greatest event so far.
///
/// An event without a readable time is placed at its arrival, but always after
/// the task's greatest event: two arrivals may share a millisecond, and the
/// clock may go back.
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
    check_ids(&event.app_id, &event.task_id)?;
    check_digest(&event.digest)?;
    check_instant(event.occurred_at_ms)?;
    check_instant(event.received_at_ms)
}

/// Checks that the ids of a task are not empty.
pub(crate) fn check_ids(app_id: &str, task_id: &str) -> Result<(), Error> {
    for (name, id) in [("app_id", app_id), ("task_id", task_id)] {
        if id.is_empty() {
            return Err(Error::Unsupported(format!("the task's `{name}` is empty")));
        }
    }
    Ok(())
}

fn check_signature(signature: &SignatureUse) -> Result<(), Error> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = &signature.signature;
    if text.len() != SIGNATURE_BYTES || !text.bytes().all(is_digit) {
        return Err(Error::Unsupported(format!(
            "the signature `{text}` is not {SIGNATURE_BYTES} lower-case hexadecimal digits"
        )));
    }
    check_digest(&signature.digest)
    // An expiry that exceeds an `i64` is 292 million years away: backends clamp it.
}

fn check_digest(digest: &[u8]) -> Result<(), Error> {
    if digest.len() == DIGEST_BYTES {
        return Ok(());
    }
    let found = digest.len();
    Err(Error::Unsupported(format!(
        "the digest has {found} bytes instead of {DIGEST_BYTES}"
    )))
}

/// Checks that a time fits into an `i64`. It is not clamped, because two clamped
/// times would lose their order.
pub(crate) fn check_instant(ms: u64) -> Result<(), Error> {
    i64::try_from(ms)
        .map(drop)
        .map_err(|_| Error::Unsupported(format!("the time {ms} ms exceeds {} ms", i64::MAX)))
}
