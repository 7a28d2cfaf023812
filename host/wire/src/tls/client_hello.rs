//! A ClientHello message (RFC 8446, section 4.1.2), and its server name
//! (RFC 6066, section 3).

use rustls::pki_types::ServerName;

/// `HandshakeType` of a ClientHello.
pub(super) const CLIENT_HELLO: u8 = 1;

/// The type of the extension `server_name`.
const SERVER_NAME: u16 = 0;

/// The type of a masked extension. It is in the range for private use.
const MASKED: u16 = 0xff3c;

/// The type of the extension `supported_versions`.
const SUPPORTED_VERSIONS: u16 = 43;

const TLS13: [u8; 2] = [3, 4];

/// `NameType` of a host name.
const HOST_NAME: u8 = 0;

/// Finds the server name of a message if rustls would refuse it. Returns the
/// position of the two bytes to change, and their new values.
pub fn mask(message: &[u8]) -> Option<(usize, [u8; 2])> {
    Some((find_refused(message, SERVER_NAME)?, MASKED.to_be_bytes()))
}

/// Finds a masked server name in a message. Returns the position of the two bytes
/// that [`mask`] changed, and their former values. The end of the message may be
/// missing, as it is when binders are verified.
pub fn unmask(message: &[u8]) -> Option<(usize, [u8; 2])> {
    if *message.first()? != CLIENT_HELLO {
        return None;
    }
    Some((find_refused(message, MASKED)?, SERVER_NAME.to_be_bytes()))
}

/// Returns whether a message offers TLS 1.3.
pub(super) fn offers_tls13(message: &[u8]) -> bool {
    let Some(mut extensions) = extensions(message) else {
        return false;
    };
    let versions = extensions.find(|extension| extension.kind == SUPPORTED_VERSIONS);
    let list = versions.and_then(|versions| versions.body.get(1..));
    list.is_some_and(|list| list.chunks_exact(2).any(|version| version == TLS13))
}

/// Returns the position of the first extension of this type, if rustls would refuse
/// its body as a list of server names.
fn find_refused(message: &[u8], kind: u16) -> Option<usize> {
    let found = extensions(message)?.find(|extension| extension.kind == kind)?;
    (!is_accepted(found.body)).then_some(found.place)
}

/// Returns whether rustls accepts a list of server names: it must be a single host
/// name, which is a DNS name or an address.
fn is_accepted(body: &[u8]) -> bool {
    let mut body = Reader::new(body);
    let list = body.vector(2).filter(|_| body.rest.is_empty());
    let Some(mut list) = list.map(Reader::new) else {
        return false;
    };
    let is_host_name = list.take(1) == Some(&[HOST_NAME]);
    let name = list.vector(2).filter(|_| list.rest.is_empty());
    is_host_name && name.is_some_and(|name| ServerName::try_from(name).is_ok())
}

/// An extension of a message.
struct Extension<'a> {
    /// The position of its type in the message.
    place: usize,
    kind: u16,
    body: &'a [u8],
}

/// Returns the complete extensions of a message.
fn extensions(message: &[u8]) -> Option<impl Iterator<Item = Extension<'_>>> {
    let mut reader = Reader::new(message);
    // Type, length, version and random.
    reader.take(1 + 3 + 2 + 32)?;
    // Session, cipher suites, compression methods.
    for length_bytes in [1, 2, 1] {
        reader.vector(length_bytes)?;
    }
    let length = usize::from(u16::from_be_bytes(reader.array()?));
    let mut place = message.len() - reader.rest.len();
    // If the end of the message is missing, fewer bytes are left than `length`. If
    // other messages follow, more are left.
    reader.rest = &reader.rest[..length.min(reader.rest.len())];
    Some(std::iter::from_fn(move || {
        let before = reader.rest.len();
        let kind = u16::from_be_bytes(reader.array()?);
        let body = reader.vector(2)?;
        let extension = Extension { place, kind, body };
        place += before - reader.rest.len();
        Some(extension)
    }))
}

/// Reads data in the presentation language of TLS. Every method returns `None` if
/// too few bytes are left.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Reads a vector, after its length of `length_bytes` bytes.
    fn vector(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let length = self.take(length_bytes)?;
        let add = |length, byte: &u8| length << 8 | usize::from(*byte);
        self.take(length.iter().fold(0, add))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hello, server_name};
    use super::*;

    #[test]
    fn a_name_is_masked_only_if_it_is_not_a_dns_name() {
        for name in [
            "receiver.example.com",
            "localhost",
            "127.0.0.1",
            "a_b.c",
            "::1",
        ] {
            assert_eq!(mask(&hello(&server_name(name.as_bytes()))), None, "{name}");
        }
        let long = "x".repeat(70) + ".example.com";
        for name in [
            "receiver.example.com:443",
            "127.0.0.1:443",
            "*.x",
            &long,
            "",
            "a b",
            "\0",
        ] {
            let sent = hello(&server_name(name.as_bytes()));
            let (place, masked) = mask(&sent).expect(name);
            let mut message = sent.clone();
            message[place..place + 2].copy_from_slice(&masked);
            assert_eq!(mask(&message), None, "the server name is masked");
            let (again, unmasked) = unmask(&message).unwrap();
            message[again..again + 2].copy_from_slice(&unmasked);
            assert_eq!(message, sent);
        }
    }

    #[test]
    fn a_list_that_is_malformed_is_masked() {
        for body in [
            &[][..],
            &[0, 0],
            &[0, 1, 0],
            &[0, 4, 0, 0, 1],
            &[0, 4, 1, 0, 1, b'a'],
        ] {
            assert!(mask(&hello(body)).is_some(), "{body:?}");
        }
        let mut two = server_name(b"a.b");
        two.extend_from_within(2..);
        two[1] *= 2;
        assert!(mask(&hello(&two)).is_some());
    }

    #[test]
    fn the_end_of_a_message_may_be_missing() {
        let mut sent = hello(&server_name(b"a:1"));
        let (place, masked) = mask(&sent).unwrap();
        sent[place..place + 2].copy_from_slice(&masked);
        let end = place + 4 + server_name(b"a:1").len();
        assert_eq!(unmask(&sent[..end]).unwrap().0, place);
        for end in 0..end {
            assert_eq!(unmask(&sent[..end]), None, "{end}");
        }
    }

    #[test]
    fn other_messages_may_follow() {
        let mut sent = hello(&server_name(b"a:1"));
        let (place, masked) = mask(&sent).unwrap();
        sent[place..place + 2].copy_from_slice(&masked);
        sent.extend_from_slice(&[11, 0, 0, 3, 0, 0, 0]);
        assert_eq!(unmask(&sent).unwrap().0, place);
    }

    #[test]
    fn other_messages_are_not_unmasked() {
        let mut sent = hello(&server_name(b"a:1"));
        let (place, masked) = mask(&sent).unwrap();
        sent[place..place + 2].copy_from_slice(&masked);
        sent[0] = 2;
        assert_eq!(unmask(&sent), None);
    }
}
