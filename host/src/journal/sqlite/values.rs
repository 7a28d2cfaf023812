//! Between the contract's types and SQLite's: checked on the way in.

use rusqlite::ErrorCode;

use crate::journal::{Error, Event, EventFlags, Nonce, Reject};

/// The length of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;
/// What the contract allows.
const MAX_NONCE_BYTES: usize = 256;
/// About what a row costs beyond its texts: keys, numbers, index entries.
pub(super) const ROW_OVERHEAD_BYTES: usize = 256;

/// Which bit each oddity has in the file. Never change one.
const ODDITY_BITS: [(EventFlags, i64); 7] = [
    (EventFlags::TIME_MISMATCH, 1 << 0),
    (EventFlags::CLOCK_SKEW, 1 << 1),
    (EventFlags::UNKNOWN_STATUS, 1 << 2),
    (EventFlags::UNKNOWN_TYPE, 1 << 3),
    (EventFlags::LEGACY_FORM, 1 << 4),
    (EventFlags::NO_EVENT_TIME, 1 << 5),
    (EventFlags::EXTRA_FIELDS, 1 << 6),
];

pub(super) fn oddities_to_bits(oddities: EventFlags) -> i64 {
    let present = ODDITY_BITS
        .iter()
        .filter(|(oddity, _)| oddities.contains(*oddity));
    present.fold(0, |bits, (_, bit)| bits | bit)
}

pub(super) fn oddities_from_bits(bits: i64) -> EventFlags {
    let present = ODDITY_BITS.iter().filter(|(_, bit)| bits & bit != 0);
    present.fold(EventFlags::empty(), |oddities, (oddity, _)| {
        oddities | *oddity
    })
}

/// An event that the tables can hold, whatever else fails.
pub(super) struct CheckedEvent {
    pub(super) event: Event,
    pub(super) occurred_at_ms: i64,
    pub(super) received_at_ms: i64,
}

impl CheckedEvent {
    pub(super) fn new(event: Event) -> Result<Self, Error> {
        if event.digest.len() != DIGEST_BYTES {
            let found = event.digest.len();
            return Err(Error::Unsupported(format!(
                "a digest has {DIGEST_BYTES} bytes, not {found}"
            )));
        }
        let occurred_at_ms = instant(event.occurred_at_ms)?;
        let received_at_ms = instant(event.received_at_ms)?;
        Ok(Self {
            event,
            occurred_at_ms,
            received_at_ms,
        })
    }

    /// About how much memory the event holds.
    pub(super) fn bytes(&self) -> usize {
        event_bytes(&self.event)
    }
}

/// About how many bytes an event takes on a page.
pub(super) fn event_bytes(event: &Event) -> usize {
    let optional = [
        &event.event_time,
        &event.event_time_ms,
        &event.request_id,
        &event.signature,
    ];
    ROW_OVERHEAD_BYTES
        + event.app_id.len()
        + event.task_id.len()
        + event.task_type.len()
        + event.status.len()
        + event.status_desc.len()
        + optional
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>()
        + event.body.len()
}

/// A reject that the tables can hold.
pub(super) struct CheckedReject {
    pub(super) reject: Reject,
    pub(super) received_at_ms: i64,
}

impl CheckedReject {
    pub(super) fn new(reject: Reject) -> Result<Self, Error> {
        let received_at_ms = instant(reject.received_at_ms)?;
        Ok(Self {
            reject,
            received_at_ms,
        })
    }

    /// What the reject counts towards the bound of the quarantine.
    pub(super) fn bytes(&self) -> usize {
        reject_bytes(&self.reject)
    }
}

pub(super) fn reject_bytes(reject: &Reject) -> usize {
    ROW_OVERHEAD_BYTES
        + reject.reason.len()
        + reject.detail.len()
        + reject.pointer.as_ref().map_or(0, String::len)
        + reject.body.len()
}

/// A nonce that the tables can hold.
pub(super) struct CheckedNonce {
    pub(super) value: String,
    pub(super) expires_at_ms: i64,
}

impl CheckedNonce {
    pub(super) fn new(nonce: Nonce) -> Result<Self, Error> {
        if nonce.value.len() > MAX_NONCE_BYTES {
            return Err(Error::Unsupported(format!(
                "a nonce has at most {MAX_NONCE_BYTES} bytes"
            )));
        }
        // One that never expires and one that does in 292 million years are the same.
        let expires_at_ms = saturated(nonce.expires_at_ms);
        Ok(Self {
            value: nonce.value,
            expires_at_ms,
        })
    }
}

/// An instant as SQLite holds it. One that does not fit is refused, not
/// bent: two of them would change places.
fn instant(ms: u64) -> Result<i64, Error> {
    i64::try_from(ms)
        .map_err(|_| Error::Unsupported(format!("{ms} ms is beyond the calendar of this journal")))
}

/// The greatest number that SQLite holds stands for all beyond it.
pub(super) fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number that was checked on its way in.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// What a failure to read or write means to a caller.
pub(super) fn failure(what: &str, error: &rusqlite::Error) -> Error {
    let text = format!("{what}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_oddity_has_its_bit() {
        assert_eq!(oddities_from_bits(i64::MAX), EventFlags::all());
        for (oddity, bit) in ODDITY_BITS {
            assert_eq!(oddities_to_bits(oddity), bit);
            assert_eq!(oddities_from_bits(bit), oddity);
        }
    }

    #[test]
    fn instants_beyond_sqlite_are_refused() {
        assert_eq!(instant(u64::try_from(i64::MAX).unwrap()).unwrap(), i64::MAX);
        assert!(matches!(instant(u64::MAX), Err(Error::Unsupported(_))));
    }
}
