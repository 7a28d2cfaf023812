//! Joins a handshake message from the records that carry it (RFC 8446, section 5.1).

use std::ops::Range;

use super::client_hello::CLIENT_HELLO;

/// `ContentType` of a handshake record.
const HANDSHAKE: u8 = 22;

/// `ContentType` of a `change_cipher_spec` record. TLS 1.3 uses it only to look
/// like TLS 1.2, also between two ClientHello messages.
const CHANGE_CIPHER_SPEC: u8 = 20;

/// The length of a record's header: type, version and length.
const RECORD_HEADER_BYTES: usize = 5;

/// The length of a handshake message's header: type and length.
const MESSAGE_HEADER_BYTES: usize = 4;

/// A ClientHello and the records around it.
pub(super) struct Message {
    /// The message, without the headers of its records.
    pub(super) bytes: Vec<u8>,
    /// The ranges of its bytes in the records.
    pieces: Vec<Range<usize>>,
    /// The length of the records.
    pub(super) length: usize,
}

/// The beginning of a sequence of records.
pub(super) enum Beginning {
    /// A ClientHello.
    Hello(Message),
    /// A `change_cipher_spec` record of this many bytes.
    ChangeCipherSpec(usize),
    /// An incomplete record or message. At least this many bytes are needed to
    /// decide.
    Partial(usize),
    /// Anything else.
    Other,
}

/// Parses the beginning of a sequence of records.
pub(super) fn beginning(records: &[u8]) -> Beginning {
    let mut message = Message {
        bytes: Vec::new(),
        pieces: Vec::new(),
        length: 0,
    };
    loop {
        let content = match record(records, message.length) {
            Record::Complete(HANDSHAKE, content) if !content.is_empty() => content,
            Record::Complete(CHANGE_CIPHER_SPEC, content) if message.length == 0 => {
                return Beginning::ChangeCipherSpec(content.end);
            }
            Record::Partial(HANDSHAKE | CHANGE_CIPHER_SPEC, end) => return Beginning::Partial(end),
            Record::Complete(..) | Record::Partial(..) => return Beginning::Other,
            Record::NoHeader => return Beginning::Partial(message.length + RECORD_HEADER_BYTES),
        };
        message.length = content.end;
        message.bytes.extend_from_slice(&records[content.clone()]);
        message.pieces.push(content);
        if message.bytes[0] != CLIENT_HELLO {
            return Beginning::Other;
        }
        if message.is_complete() {
            return Beginning::Hello(message);
        }
    }
}

/// A record at some position.
enum Record {
    /// A complete record: its type and the range of its content.
    Complete(u8, Range<usize>),
    /// An incomplete record: its type and where it will end.
    Partial(u8, usize),
    /// The header is incomplete.
    NoHeader,
}

fn record(records: &[u8], place: usize) -> Record {
    let header = records.get(place..place + RECORD_HEADER_BYTES);
    let Some(&[kind, _, _, high, low]) = header else {
        return Record::NoHeader;
    };
    let content = place + RECORD_HEADER_BYTES;
    let end = content + usize::from(u16::from_be_bytes([high, low]));
    if end > records.len() {
        return Record::Partial(kind, end);
    }
    Record::Complete(kind, content..end)
}

impl Message {
    fn is_complete(&self) -> bool {
        let Some(&[_, high, middle, low]) = self.bytes.first_chunk::<MESSAGE_HEADER_BYTES>() else {
            return false;
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.bytes.len() >= MESSAGE_HEADER_BYTES + length
    }

    /// Returns the position in the records of a byte of the message.
    pub(super) fn place(&self, mut at: usize) -> Option<usize> {
        for piece in &self.pieces {
            if at < piece.len() {
                return Some(piece.start + at);
            }
            at -= piece.len();
        }
        None
    }
}
