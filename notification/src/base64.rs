//! Base64 (RFC 4648, section 4).
//!
//! Not from a library: libraries are made for constant time or for speed, and
//! would add 1.5 kB to the component. Do not decode secrets with it, because it
//! does not take constant time.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes as base64, with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text.push(match ALPHABET.get((bits >> shift & 63) as usize) {
                Some(&letter) if place <= chunk.len() => letter.into(),
                _ => '=',
            });
        }
    }
    text
}

/// Decodes a base64 text without padding. Returns `None` if it contains other
/// characters, has an impossible length, or has bits after the last byte that
/// are not 0.
pub fn from_base64(unpadded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // The bits that do not yet make a byte, and their number.
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in unpadded.bytes() {
        bits = bits << 6 | u32::from(value(letter)?);
        count = count.saturating_add(6);
        if let Some(rest) = count.checked_sub(8) {
            bytes.extend(u8::try_from(bits >> rest).ok());
            bits &= !(u32::MAX << rest);
            count = rest;
        }
    }
    (bits == 0 && count < 6).then_some(bytes)
}

/// Returns the place of a letter in the alphabet.
fn value(letter: u8) -> Option<u8> {
    let (first, place) = match letter {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(letter.wrapping_sub(first).wrapping_add(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Base64Unpadded, Encoding as _};
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            let unpadded = text.trim_end_matches('=');
            assert_eq!(from_base64(unpadded).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn bytes_have_one_text() {
        for malformed in ["A", "Zm9vY", "Zh", "Zm9", "Zm 8", "Zg==", "-_", "é"] {
            assert_eq!(from_base64(malformed), None, "{malformed}");
        }
        assert_eq!(from_base64("+/8"), Some([0xfb, 0xff].into()));
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(from_base64(base64(&all).trim_end_matches('=')), Some(all));
    }

    proptest! {
        #[test]
        fn a_library_agrees(bytes: Vec<u8>, text in "[A-Za-z0-9+/]{0,6}[=é]?") {
            prop_assert_eq!(base64(&bytes), Base64::encode_string(&bytes));
            prop_assert_eq!(from_base64(&text), Base64Unpadded::decode_vec(&text).ok());
        }
    }
}
