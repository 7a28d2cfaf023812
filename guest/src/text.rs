//! Helpers for strings.

use alloc::string::String;
use core::ops::RangeInclusive;

/// Parses a decimal number. Returns `None` if it is not within the bounds. All
/// numbers are parsed as `u64`, because each type would add 300 bytes of code.
pub(crate) fn number(text: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| bounds.contains(number))
}

/// Returns the product of two numbers, or the greatest number if the product is
/// greater. Not inlined, because each such multiplication takes 60 bytes of code.
#[inline(never)]
pub(crate) fn times(one: u64, other: u64) -> u64 {
    one.saturating_mul(other)
}

/// Returns a text, cut off after at most `bytes_max` bytes. An ellipsis is added
/// if it was cut off.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let mut shortened = String::from(text.get(..end).unwrap_or_default());
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}

/// Joins texts with a separator between them. The library's `join` would need
/// five times as much code.
pub(crate) fn joined<T: AsRef<str>>(texts: &[T], separator: &str) -> String {
    let mut joined = String::new();
    for text in texts {
        joined.push_str(text.as_ref());
        joined.push_str(separator);
    }
    joined.truncate(joined.len().saturating_sub(separator.len()));
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_shortened_between_characters() {
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("aéb", 3), "aé…");
        assert_eq!(shortened("aéb", 2), "a…");
        assert_eq!(shortened("", 0), "");
    }

    #[test]
    fn texts_are_joined_with_separators() {
        assert_eq!(joined(&["a", "", "b"], "; "), "a; ; b");
        assert_eq!(joined(&["a"], "; "), "a");
        assert_eq!(joined(&[""; 0], "; "), "");
    }
}
