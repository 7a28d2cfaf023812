//! [`FirstFlight`]: follows the first bytes of a connection, and masks the
//! ClientHello in them.

use super::client_hello::{mask, offers_tls13};
use super::records::{Beginning, Message, beginning};

/// The maximum number of bytes that are held back: the size of the largest record,
/// which no client exceeds. More bytes are passed on unchanged.
pub const HELD_BYTES_MAX: usize = 16 << 10;

/// Follows the first bytes of a connection.
#[derive(Debug, Default)]
pub struct FirstFlight {
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    /// A ClientHello is expected.
    #[default]
    Hello,
    /// A second ClientHello may follow, if the server asks the client to try again
    /// (RFC 8446, section 4.1.4).
    Retry,
    /// No ClientHello follows.
    Over,
}

impl FirstFlight {
    /// Returns whether all bytes from now on are passed on unchanged.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Masks the ClientHello at the front of `held`, which are all bytes that
    /// arrived and were not read yet. Returns how many bytes may be read now, and
    /// how many must be held before the next call.
    pub fn follow(&mut self, held: &mut [u8]) -> (usize, usize) {
        let mut readable = 0;
        while !self.is_over() {
            match self.step(&mut held[readable..]) {
                Step::Read(count) => readable += count,
                Step::Wait(needed) if needed <= HELD_BYTES_MAX => return (readable, needed),
                Step::Wait(_) | Step::End => self.phase = Phase::Over,
            }
        }
        (held.len(), 0)
    }

    fn step(&mut self, held: &mut [u8]) -> Step {
        match beginning(held) {
            Beginning::Hello(message) => {
                self.phase = self.after(&message, held);
                Step::Read(message.length)
            }
            Beginning::ChangeCipherSpec(length) if self.phase == Phase::Retry => Step::Read(length),
            Beginning::Partial(needed) => Step::Wait(needed),
            Beginning::ChangeCipherSpec(_) | Beginning::Other => Step::End,
        }
    }

    /// Masks a message in place. Returns the phase after it.
    fn after(&self, message: &Message, held: &mut [u8]) -> Phase {
        let Some((place, masked)) = mask(&message.bytes) else {
            return Phase::Over;
        };
        // The two bytes may be in different records.
        for (at, byte) in (place..).zip(masked) {
            if let Some(place) = message.place(at) {
                held[place] = byte;
            }
        }
        // Without TLS 1.3 there is no retry, and encrypted bytes could look like one.
        if self.phase == Phase::Hello && offers_tls13(&message.bytes) {
            Phase::Retry
        } else {
            Phase::Over
        }
    }
}

/// The result of parsing the next record or message.
enum Step {
    /// This many bytes may be read.
    Read(usize),
    /// This many bytes must be held to decide.
    Wait(usize),
    /// No ClientHello follows.
    End,
}

#[cfg(test)]
mod tests {
    use super::super::client_hello::unmask;
    use super::super::tests::{hello, in_records, server_name};
    use super::*;

    /// Returns what is read if the bytes arrive in pieces of this length.
    fn read(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut flight, mut held, mut read) = (FirstFlight::default(), Vec::new(), Vec::new());
        let mut needed = 0;
        for piece in bytes.chunks(piece) {
            held.extend_from_slice(piece);
            if held.len() < needed {
                continue;
            }
            let (readable, next) = flight.follow(&mut held);
            read.extend(held.drain(..readable));
            needed = next;
        }
        read.extend(held);
        read
    }

    #[test]
    fn a_hello_is_masked_in_records_and_pieces_of_any_length() {
        let sent = hello(&server_name(b"receiver.example.com:443"));
        let (place, masked) = mask(&sent).unwrap();
        let mut expected = sent.clone();
        expected[place..place + 2].copy_from_slice(&masked);
        for record in 1..sent.len() + 1 {
            let stream = [in_records(&sent, record), b"rest".to_vec()].concat();
            let masked = [in_records(&expected, record), b"rest".to_vec()].concat();
            for piece in [1, 2, 3, 5, 7, 64, stream.len()] {
                assert_eq!(read(&stream, piece), masked, "{record}, {piece}");
            }
        }
    }

    #[test]
    fn a_retry_is_masked_too() {
        let sent = in_records(&hello(&server_name(b"a:1")), 1 << 14);
        let ccs = [20, 3, 3, 0, 1, 1];
        let stream = [&sent[..], &ccs, &sent, &sent].concat();
        for piece in [1, 7, stream.len()] {
            let read = read(&stream, piece);
            let (first, rest) = read.split_at(sent.len());
            assert_ne!(first, sent);
            let (second, third) = rest[ccs.len()..].split_at(sent.len());
            assert_eq!(second, first);
            assert_eq!(third, sent);
            assert!(unmask(&first[5..]).is_some());
        }
    }

    #[test]
    fn other_bytes_are_passed_on_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            &[22, 3, 1, 0, 4, 2, 0, 0, 0],
            &[22, 3, 1, 0, 0],
            &[21, 3, 1, 0, 2],
            &[0x80, 0x2e, 1, 3, 1],
        ] {
            let (mut flight, mut held) = (FirstFlight::default(), bytes.to_vec());
            assert_eq!(flight.follow(&mut held), (bytes.len(), 0));
            assert_eq!(held, bytes);
        }
    }

    #[test]
    fn the_number_of_held_bytes_is_bounded() {
        let long = in_records(&hello(&vec![0; 40_000]), 1 << 14);
        for piece in [1, 1000] {
            let (mut flight, mut held, mut needed) = (FirstFlight::default(), Vec::new(), 0);
            for piece in long.chunks(piece) {
                held.extend_from_slice(piece);
                if held.len() < needed {
                    continue;
                }
                let (readable, next) = flight.follow(&mut held);
                held.drain(..readable);
                needed = next;
                assert!(needed <= HELD_BYTES_MAX);
            }
            assert!(flight.is_over() && held.is_empty());
        }
    }
}
