//! Texts and what is made of them.

use alloc::string::String;
use core::ops::RangeInclusive;

/// A decimal number within bounds. One kind of number for all, because the
/// code that reads one is 300 bytes.
pub(crate) fn number(text: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| bounds.contains(number))
}

/// The beginning of a text, at most this many bytes and an ellipsis; or the
/// whole text if it is not longer.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let mut shortened = String::from(text.get(..end).unwrap_or_default());
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}

/// Texts with a separator between them. The library's `join` would be five
/// times as long in the component.
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
    fn separators_stand_between() {
        assert_eq!(joined(&["a", "", "b"], "; "), "a; ; b");
        assert_eq!(joined(&["a"], "; "), "a");
        assert_eq!(joined(&[""; 0], "; "), "");
    }
}
