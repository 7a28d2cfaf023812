//! Any bytes at the beginning of a TLS connection are passed on unchanged, in pieces of
//! any length, except the type of a server name that rustls would refuse. rustls accepts
//! the result, and the hash is over the original bytes.
#![no_main]

use batchtask_wire::tls::client_hello::{mask, unmask};
use batchtask_wire::tls::flight::{FirstFlight, HELD_BYTES_MAX};
use libfuzzer_sys::fuzz_target;
use rustls::server::Acceptor;
use rustls::{Error, InvalidMessage, PeerMisbehaved};

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, came)) = bytes.split_first() else {
        return;
    };
    let read = read(came, came.len());
    assert_eq!(read.len(), came.len());
    assert_eq!(read_in_pieces(came, usize::from(*piece) + 1), read);
    let differences = came.iter().zip(&read).filter(|(came, read)| came != read);
    assert!(differences.count() <= 4, "two of each hello");
    if let Some((came, read)) = message(came).zip(message(&read)) {
        check(came, read);
    }
    let _ = (mask(came), unmask(came));
});

fn read(came: &[u8], piece: usize) -> Vec<u8> {
    if came.is_empty() {
        Vec::new()
    } else {
        read_in_pieces(came, piece)
    }
}

/// Returns what is read if the bytes arrive in pieces, and the connection then ends.
fn read_in_pieces(came: &[u8], piece: usize) -> Vec<u8> {
    let (mut flight, mut held, mut read) = (FirstFlight::default(), Vec::new(), Vec::new());
    let mut needed = 0;
    for piece in came.chunks(piece) {
        held.extend_from_slice(piece);
        if held.len() >= needed {
            let (readable, next) = flight.follow(&mut held);
            assert!(next <= HELD_BYTES_MAX);
            read.extend(held.drain(..readable));
            needed = next;
        }
    }
    read.extend(held);
    read
}

/// Returns the message in a single record, if it is a complete ClientHello.
fn message(records: &[u8]) -> Option<&[u8]> {
    let (&[kind, _, _, high, low], rest) = records.split_first_chunk()?;
    let content = rest.get(..usize::from(u16::from_be_bytes([high, low])))?;
    let (&[1, high_, middle, low_], body) = content.split_first_chunk()? else {
        return None;
    };
    let length = u32::from_be_bytes([0, high_, middle, low_]) as usize;
    (kind == 22 && body.len() == length && records.len() <= HELD_BYTES_MAX).then_some(content)
}

fn check(came: &[u8], read: &[u8]) {
    if came != read {
        let (place, sent) = unmask(read).expect("a masked server name");
        let mut hashed = read.to_vec();
        hashed[place..place + 2].copy_from_slice(&sent);
        // If a client sends the type of a masked extension itself, only its own
        // handshake fails.
        assert!(hashed == came || unmask(came).is_some());
    }
    let record = [&[22, 3, 1], &(read.len() as u16).to_be_bytes()[..], read].concat();
    let mut acceptor = Acceptor::default();
    let mut rest = &record[..];
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).unwrap();
        let Err((error, _)) = acceptor.accept() else {
            continue;
        };
        let is_of_name = matches!(
            error,
            Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)
                | Error::InvalidMessage(InvalidMessage::InvalidServerName)
        );
        // The only remaining case is a second server name, which is forbidden.
        assert!(!is_of_name || mask(read).is_some(), "{error:?}");
        return;
    }
}
