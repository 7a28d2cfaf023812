//! Hexadecimal digits.

use alloc::string::String;
use alloc::vec::Vec;

/// Encodes bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Decodes hexadecimal digits in upper or lower case. Returns `None` if the text
/// is anything else.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(nibble(high)? << 4 | nibble(low)?).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_reverses_encoding() {
        assert_eq!(hex(&[0, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert_eq!(from_hex("000FA5ff"), Some([0, 0x0f, 0xa5, 0xff].into()));
        assert_eq!(from_hex(""), Some(Vec::new()));
        for malformed in ["0", "0g", "é", "0x00", "+1"] {
            assert_eq!(from_hex(malformed), None, "{malformed}");
        }
    }
}
