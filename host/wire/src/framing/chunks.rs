//! Parses the lines among chunks, exactly as RFC 9112, section 7.1 defines them.

/// The number of hexadecimal digits of a size of 64 bits.
const DIGITS_MAX: usize = 16;

/// Parses the line with the size of a chunk, without its line end. Returns `None`
/// if the line is not digits with an optional extension after them.
pub(super) fn size(line: &[u8]) -> Option<u64> {
    let is_digit = |byte: &u8| byte.is_ascii_hexdigit();
    let digits = line.iter().take_while(|byte| is_digit(byte)).count();
    let (digits, extension) = line.split_at(digits);
    if digits.len() > DIGITS_MAX || !is_extension(extension) {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// Returns whether a line of the trailer, without its line end, is a field.
pub(super) fn is_trailer(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_named = !name.is_empty() && name.len() < line.len();
    is_named && name.iter().all(u8::is_ascii_graphic) && is_text(line)
}

/// Returns whether the rest of a line is empty or an extension. Space is allowed
/// only before a semicolon.
fn is_extension(rest: &[u8]) -> bool {
    rest.is_empty() || rest.trim_ascii_start().starts_with(b";") && is_text(rest)
}

/// Returns whether no byte is a control character, except tabs. Some readers end a
/// line at a CR alone, or a text at a NUL.
fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_digits_and_extensions() {
        assert_eq!(size(b"0"), Some(0));
        assert_eq!(size(b"00fF"), Some(255));
        assert_eq!(size(b"5;a"), Some(5));
        assert_eq!(size(b"5 \t; a=\"b; c\""), Some(5));
        assert_eq!(size(b"ffffffffffffffff"), Some(u64::MAX));
        for line in [
            "",
            " 5",
            "5 ",
            "5 a",
            "5\t",
            "+5",
            "-5",
            "0x5",
            "5,6",
            ";a",
            "g",
            "5;a\rb",
            "5;\0",
            "00000000000000005",
        ] {
            assert_eq!(size(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn a_trailer_is_a_field() {
        for line in ["x: y", "x:", "content-length: 1", "x:\ty"] {
            assert!(is_trailer(line.as_bytes()), "{line:?}");
        }
        for line in ["x", ": y", " x: y", "\tx: y", "x : y", "x: a\rb", "x: \0"] {
            assert!(!is_trailer(line.as_bytes()), "{line:?}");
        }
    }
}
