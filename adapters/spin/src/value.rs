//! Encodes and decodes the values of events, rejects and signatures.
//!
//! Events and rejects start with the version of their form. Numbers are eight
//! bytes in big-endian order. A text or body is a number, which is its length
//! plus one, and then its bytes. If it is absent, the number is 0. The value of
//! a signature is the time when its use expires, and the digest of its
//! notification.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{Event, EventFlags, Reject, SignatureUse, Source};

/// The form of an event in version 0.1, which is always a push.
const PUSHED_EVENT: u64 = 0x6501;
const EVENT: u64 = 0x6502;
const REJECT: u64 = 0x7101;

/// Encodes an event.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let mut writer = Writer::new(EVENT);
    writer.number(event.received_at_ms);
    writer.number(event.occurred_at_ms);
    writer.number(event.rank.into());
    writer.number(event.flags.bits().into());
    writer.bytes(Some(&event.digest));
    for text in [
        &event.app_id,
        &event.task_id,
        &event.task_type,
        &event.status,
        &event.status_desc,
    ] {
        writer.bytes(Some(text.as_bytes()));
    }
    for text in [
        &event.event_time,
        &event.event_time_ms,
        &event.request_id,
        &event.signature,
    ] {
        writer.bytes(text.as_ref().map(String::as_bytes));
    }
    writer.bytes(Some(&event.body));
    writer.number(source_number(event.source));
    writer.0
}

/// Decodes an event in the form of [`encode_event`] or of version 0.1. Returns
/// `None` if the bytes are not an event.
pub fn decode_event(bytes: &[u8]) -> Option<Event> {
    let (form, mut reader) = Reader::new(bytes)?;
    let received_at_ms = reader.number()?;
    let occurred_at_ms = reader.number()?;
    let rank = u8::try_from(reader.number()?).ok()?;
    let flags = u16::try_from(reader.number()?).ok()?;
    let digest = reader.bytes()??;
    let app_id = reader.text()??;
    let task_id = reader.text()??;
    let task_type = reader.text()??;
    let status = reader.text()??;
    let status_desc = reader.text()??;
    let event_time = reader.text()?;
    let event_time_ms = reader.text()?;
    let request_id = reader.text()?;
    let signature = reader.text()?;
    let body = reader.bytes()??;
    let source = match form {
        EVENT => source_of(reader.number()?)?,
        PUSHED_EVENT => Source::Push,
        _ => return None,
    };
    // Copied last, so a `?` has no copies to drop: that would need more code.
    Some(Event {
        received_at_ms,
        occurred_at_ms,
        rank,
        source,
        flags: EventFlags::from_bits_retain(flags),
        digest: digest.into(),
        app_id: app_id.into(),
        task_id: task_id.into(),
        task_type: task_type.into(),
        status: status.into(),
        status_desc: status_desc.into(),
        event_time: event_time.map(String::from),
        event_time_ms: event_time_ms.map(String::from),
        request_id: request_id.map(String::from),
        signature: signature.map(String::from),
        body: body.into(),
    })
}

fn source_number(source: Source) -> u64 {
    match source {
        Source::Push => 0,
        Source::Amqp => 1,
        Source::Reconcile => 2,
    }
}

/// Returns the source with this [`source_number`].
fn source_of(number: u64) -> Option<Source> {
    match number {
        0 => Some(Source::Push),
        1 => Some(Source::Amqp),
        2 => Some(Source::Reconcile),
        _ => None,
    }
}

/// Encodes a reject.
pub fn encode_reject(reject: &Reject) -> Vec<u8> {
    let mut writer = Writer::new(REJECT);
    writer.number(reject.received_at_ms);
    writer.bytes(Some(reject.reason.as_bytes()));
    writer.bytes(Some(reject.detail.as_bytes()));
    writer.bytes(reject.pointer.as_ref().map(String::as_bytes));
    writer.bytes(Some(&reject.body));
    writer.0
}

/// Decodes a reject in the form of [`encode_reject`]. Returns `None` if the
/// bytes are not a reject.
pub fn decode_reject(bytes: &[u8]) -> Option<Reject> {
    let (form, mut reader) = Reader::new(bytes)?;
    if form != REJECT {
        return None;
    }
    let received_at_ms = reader.number()?;
    let reason = reader.text()??;
    let detail = reader.text()??;
    let pointer = reader.text()?;
    let body = reader.bytes()??;
    Some(Reject {
        received_at_ms,
        reason: reason.into(),
        detail: detail.into(),
        pointer: pointer.map(String::from),
        body: body.into(),
    })
}

/// Encodes the use of a signature.
pub(crate) fn encode_use(signature: &SignatureUse) -> Vec<u8> {
    let mut value = Vec::from(signature.expires_at_ms.to_be_bytes());
    value.extend_from_slice(&signature.digest);
    value
}

/// Decodes the use of a signature: when it expires, and the digest of its
/// notification.
pub(crate) fn decode_use(value: &[u8]) -> Option<(u64, &[u8])> {
    let (expires_at_ms, digest) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*expires_at_ms), digest))
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(form: u64) -> Self {
        let mut writer = Self(Vec::new());
        writer.number(form);
        writer
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(0, |bytes| {
            u64::try_from(bytes.len()).unwrap_or(0).saturating_add(1)
        });
        self.number(length);
        self.0.extend_from_slice(bytes.unwrap_or_default());
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the version of the form. Returns it, and a reader of the rest.
    fn new(bytes: &'a [u8]) -> Option<(u64, Self)> {
        let mut reader = Self(bytes);
        Some((reader.number()?, reader))
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let Some(length) = self.number()?.checked_sub(1) else {
            return Some(None);
        };
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(bytes))
    }

    fn text(&mut self) -> Option<Option<&'a str>> {
        match self.bytes()? {
            Some(bytes) => Some(Some(core::str::from_utf8(bytes).ok()?)),
            None => Some(None),
        }
    }
}
