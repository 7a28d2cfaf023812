//! A handshake message in the records that carry it (RFC 8446, section 5.1).

use std::ops::Range;

use super::client_hello::CLIENT_HELLO;

/// `ContentType` of a handshake record.
const HANDSHAKE: u8 = 22;

/// `ContentType` of a record that says only that ciphers change. TLS 1.3 has it
/// to look like TLS 1.2, between two ClientHello messages too.
const CHANGE_CIPHER_SPEC: u8 = 20;

/// Type, version and length of a record.
const RECORD_HEADER_BYTES: usize = 5;

/// Type and length of a handshake message.
const MESSAGE_HEADER_BYTES: usize = 4;

/// A ClientHello and the records around it.
pub(super) struct Message {
    /// The message, without the headers of its records.
    pub(super) bytes: Vec<u8>,
    /// Which bytes of the records it came in.
    pieces: Vec<Range<usize>>,
    /// How long the records are.
    pub(super) length: usize,
}

/// What records begin with.
pub(super) enum Beginning {
    /// A ClientHello.
    Hello(Message),
    /// A record that says only that ciphers change, of so many bytes.
    ChangeCipherSpec(usize),
    /// The beginning of either. At least so many bytes are needed to know more.
    Partial(usize),
    /// Anything else.
    Other,
}

/// Joins the message that records begin with.
pub(super) fn beginning(records: &[u8]) -> Beginning {
    let mut message = Message {
        bytes: Vec::new(),
        pieces: Vec::new(),
        length: 0,
    };
    loop {
        let content = match record(records, message.length) {
            Record::Whole(HANDSHAKE, content) if !content.is_empty() => content,
            Record::Whole(CHANGE_CIPHER_SPEC, content) if message.length == 0 => {
                return Beginning::ChangeCipherSpec(content.end);
            }
            Record::Partial(HANDSHAKE | CHANGE_CIPHER_SPEC, end) => return Beginning::Partial(end),
            Record::Whole(..) | Record::Partial(..) => return Beginning::Other,
            Record::None => return Beginning::Partial(message.length + RECORD_HEADER_BYTES),
        };
        message.length = content.end;
        message.bytes.extend_from_slice(&records[content.clone()]);
        message.pieces.push(content);
        if message.bytes[0] != CLIENT_HELLO {
            return Beginning::Other;
        }
        if message.is_whole() {
            return Beginning::Hello(message);
        }
    }
}

/// A record at a place.
enum Record {
    /// Its type and where its content is.
    Whole(u8, Range<usize>),
    /// Its type and where it will end.
    Partial(u8, usize),
    /// Its header has not come yet.
    None,
}

fn record(records: &[u8], place: usize) -> Record {
    let header = records.get(place..place + RECORD_HEADER_BYTES);
    let Some(&[kind, _, _, high, low]) = header else {
        return Record::None;
    };
    let content = place + RECORD_HEADER_BYTES;
    let end = content + usize::from(u16::from_be_bytes([high, low]));
    if end > records.len() {
        return Record::Partial(kind, end);
    }
    Record::Whole(kind, content..end)
}

impl Message {
    fn is_whole(&self) -> bool {
        let Some(&[_, high, middle, low]) = self.bytes.first_chunk::<MESSAGE_HEADER_BYTES>() else {
            return false;
        };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.bytes.len() >= MESSAGE_HEADER_BYTES + length
    }

    /// Where a byte of the message is among the records.
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
