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
    let received_at_ms = reader.number()?;
    let occurred_at_ms = reader.number()?;
    let rank = u8::try_from(reader.number()?).ok()?;
    let oddities = u8::try_from(reader.number()?).ok()?;
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
    // Copied last: no copy is there to be dropped by a `?`, which is much code.
    Some(Event {
        received_at_ms,
        occurred_at_ms,
        rank,
        oddities: EventFlags::from_bits_retain(oddities),
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

    fn text(&mut self) -> Option<Option<&'a str>> {
        match self.bytes()? {
            Some(bytes) => Some(Some(core::str::from_utf8(bytes).ok()?)),
            None => Some(None),
        }
    }
}
