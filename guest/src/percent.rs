//! Percent-encoding (RFC 3986, 2.1).

use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::hex;

/// The bytes, besides letters and digits, that need no encoding (RFC 3986, 2.3).
pub const UNRESERVED: &[u8] = b"-._~";

/// Decodes a text. A `%` without two hexadecimal digits is kept as it is.
/// Returns `None` if the result is not UTF-8.
pub fn decode(encoded: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut rest = encoded.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => escaped(after).unwrap_or((first, after)),
            _ => (first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

/// Decodes the two hexadecimal digits at the beginning of a text. Returns the
/// byte and the rest of the text.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
    let byte = u8::try_from(high? << 4 | low?).ok()?;
    Some((byte, rest))
}

/// Encodes a text for a segment of a path, a query string or a cookie. ASCII
/// letters, digits and the `unescaped` bytes stay as they are.
pub fn encode(text: &str, unescaped: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || unescaped.contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push('%');
            encoded.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_reverses_encoding() {
        let text = "a/b ü?.~%2F\0";
        assert_eq!(encode(text, b""), "a%2Fb%20%C3%BC%3F%2E%7E%252F%00");
        assert_eq!(encode(text, UNRESERVED), "a%2Fb%20%C3%BC%3F.~%252F%00");
        assert_eq!(decode(&encode(text, b"")).as_deref(), Some(text));
        assert_eq!(decode("%FF"), None);
        assert_eq!(decode("%zz%4").as_deref(), Some("%zz%4"));
    }
}
