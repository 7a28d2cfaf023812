//! What the keys of events and rejects lead to: a form of bytes that starts
//! with its version.
//!
//! Numbers are eight bytes, the highest first. A text or body is a number, its
//! length plus one, and its bytes; one that is absent is the number 0.

use alloc::string::String;
use alloc::vec::Vec;

use crate::journal::{Event, EventFlags, Reject};

const EVENT: u64 = 0x6501;
const REJECT: u64 = 0x7101;

/// An event as bytes.
pub fn encode_event(event: &Event) -> Vec<u8> {
    let mut writer = Writer::new(EVENT);
    writer.number(event.received_at_ms);
    writer.number(event.occurred_at_ms);
    writer.number(event.rank.into());
    writer.number(event.oddities.bits().into());
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
    writer.0
}

/// The reverse of [`encode_event`]; none when the bytes are no event's.
pub fn decode_event(bytes: &[u8]) -> Option<Event> {
    let mut reader = Reader::new(bytes, EVENT)?;
    Some(Event {
        received_at_ms: reader.number()?,
        occurred_at_ms: reader.number()?,
        rank: u8::try_from(reader.number()?).ok()?,
        oddities: EventFlags::from_bits_retain(u8::try_from(reader.number()?).ok()?),
        digest: reader.bytes()??.into(),
        app_id: reader.text()??,
        task_id: reader.text()??,
        task_type: reader.text()??,
        status: reader.text()??,
        status_desc: reader.text()??,
        event_time: reader.text()?,
        event_time_ms: reader.text()?,
        request_id: reader.text()?,
        signature: reader.text()?,
        body: reader.bytes()??.into(),
    })
}

/// A reject as bytes.
pub fn encode_reject(reject: &Reject) -> Vec<u8> {
    let mut writer = Writer::new(REJECT);
    writer.number(reject.received_at_ms);
    writer.bytes(Some(reject.reason.as_bytes()));
    writer.bytes(Some(reject.detail.as_bytes()));
    writer.bytes(reject.pointer.as_ref().map(String::as_bytes));
    writer.bytes(Some(&reject.body));
    writer.0
}

/// The reverse of [`encode_reject`]; none when the bytes are no reject's.
pub fn decode_reject(bytes: &[u8]) -> Option<Reject> {
    let mut reader = Reader::new(bytes, REJECT)?;
    Some(Reject {
        received_at_ms: reader.number()?,
        reason: reader.text()??,
        detail: reader.text()??,
        pointer: reader.text()?,
        body: reader.bytes()??.into(),
    })
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
    fn new(bytes: &'a [u8], form: u64) -> Option<Self> {
        let mut reader = Self(bytes);
        (reader.number()? == form).then_some(reader)
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

    fn text(&mut self) -> Option<Option<String>> {
        match self.bytes()? {
            Some(bytes) => Some(Some(core::str::from_utf8(bytes).ok()?.into())),
            None => Some(None),
        }
    }
}
