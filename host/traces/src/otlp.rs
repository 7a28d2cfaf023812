//! Spans as a message of OTLP 1.0, in the binary form of Protocol Buffers.
//!
//! The numbers are those of `opentelemetry/proto/trace/v1/trace.proto`, and of the files that
//! it imports. They never change.

use std::time::{SystemTime, UNIX_EPOCH};

use batchtask_span::{Context, Kind, Span, Value};

/// The name of what made the spans.
const SCOPE: &str = "batchtask";

/// The status of a span that failed.
const STATUS_ERROR: u64 = 2;

/// The forms of a field's value.
mod form {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED64: u64 = 1;
    pub(super) const BYTES: u64 = 2;
    pub(super) const FIXED32: u64 = 5;
}

/// Returns a message with spans. `resource` is what is known of this process.
pub(crate) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |message| {
            for (name, value) in resource {
                message.message(1, |pair| attribute(pair, name, &Value::from(value.clone())));
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.text(1, SCOPE);
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for known in spans {
                scope_spans.message(2, |message| span(message, known));
            }
        });
    });
    request.0
}

fn span(message: &mut Message, span: &Span) {
    ids(message, &span.context);
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.to_be_bytes());
    }
    message.text(5, &span.name);
    message.number(6, kind(span.kind));
    message.fixed64(7, nanoseconds(span.start));
    message.fixed64(8, nanoseconds(span.start + span.duration));
    for (name, value) in &span.attributes {
        message.message(9, |pair| attribute(pair, name, value));
    }
    for context in &span.links {
        message.message(13, |link| {
            ids(link, context);
            link.fixed32(6, flags(context));
        });
    }
    if let Some(error) = &span.error {
        message.message(15, |status| {
            status.text(2, error);
            status.number(3, STATUS_ERROR);
        });
    }
    message.fixed32(16, flags(&span.context));
}

/// The first fields of spans and of links are the same.
fn ids(message: &mut Message, context: &Context) {
    message.bytes(1, &context.trace_id().to_be_bytes());
    message.bytes(2, &context.span_id().to_be_bytes());
    if let Some(state) = context.tracestate() {
        message.text(3, state);
    }
}

fn flags(context: &Context) -> u32 {
    context.is_sampled().into()
}

fn kind(kind: Kind) -> u64 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Consumer => 5,
    }
}

fn attribute(pair: &mut Message, name: &str, value: &Value) {
    pair.text(1, name);
    pair.message(2, |any| match value {
        Value::Text(text) => any.text(1, text),
        Value::Flag(flag) => any.number(2, (*flag).into()),
        // Negative numbers have all 64 bits.
        Value::Whole(number) => any.number(3, number.cast_unsigned()),
        Value::Number(number) => any.fixed64(4, number.to_bits()),
    });
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, form: u64) {
        self.varint(field << 3 | form);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.key(field, form::VARINT);
        self.varint(number);
    }

    fn fixed32(&mut self, field: u64, number: u32) {
        self.key(field, form::FIXED32);
        self.0.extend(number.to_le_bytes());
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.key(field, form::FIXED64);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, form::BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// What a collector says of a message that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The number of spans that it did not take.
    pub(crate) rejected: u64,
    /// Why.
    pub(crate) reason: String,
}

/// Reads the answer of a collector. What cannot be read counts as if it were not there.
pub(crate) fn taken(answer: &[u8]) -> Taken {
    let mut taken = Taken::default();
    for (field, value) in fields(answer) {
        let (1, Field::Bytes(partial)) = (field, value) else {
            continue;
        };
        for (field, value) in fields(partial) {
            match (field, value) {
                (1, Field::Number(rejected)) => taken.rejected = rejected,
                (2, Field::Bytes(reason)) => {
                    taken.reason = String::from_utf8_lossy(reason).into_owned();
                }
                _ => {}
            }
        }
    }
    taken
}

/// The value of a field.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A form that no known field has.
    Other,
}

/// Returns the fields of a message, up to the first that cannot be read.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            form::VARINT => Field::Number(varint(&mut rest)?),
            form::BYTES => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Field::Bytes(rest.split_off(..length)?)
            }
            form::FIXED64 => {
                rest.split_off(..8)?;
                Field::Other
            }
            form::FIXED32 => {
                rest.split_off(..4)?;
                Field::Other
            }
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read_again() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX >> 1, u64::MAX] {
            let mut message = Message::default();
            message.number(5, number);
            message.fixed64(6, number);
            message.fixed32(7, 7);
            message.number(16, number);
            let found: Vec<u64> = fields(&message.0)
                .filter_map(|(field, value)| match value {
                    Field::Number(number) if [5, 16].contains(&field) => Some(number),
                    _ => None,
                })
                .collect();
            assert_eq!(found, [number, number]);
        }
    }

    #[test]
    fn an_answer_says_what_was_not_taken() {
        let mut answer = Message::default();
        answer.message(1, |partial| {
            partial.number(1, 3);
            partial.text(2, "too old");
        });
        let expected = Taken {
            rejected: 3,
            reason: "too old".into(),
        };
        assert_eq!(taken(&answer.0), expected);
        assert_eq!(taken(b""), Taken::default());
    }

    #[test]
    fn an_answer_of_any_bytes_is_harmless() {
        for bytes in [
            &b"\x0a"[..],
            b"\x0a\xff",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0b\x01",
            b"{}",
            b"\x0a\x02\x08",
            b"\x09\x00",
        ] {
            assert_eq!(taken(bytes), Taken::default(), "{bytes:?}");
        }
    }
}
