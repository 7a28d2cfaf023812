//! Texts and what is made of them.

use alloc::string::String;
use core::ops::RangeInclusive;

/// A decimal number within bounds. One kind of number for all, because the
/// code that reads one is 300 bytes.
pub(crate) fn number(text: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
    text.parse().ok().filter(|number| bounds.contains(number))
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
    fn separators_stand_between() {
        assert_eq!(joined(&["a", "", "b"], "; "), "a; ; b");
        assert_eq!(joined(&["a"], "; "), "a");
        assert_eq!(joined(&[""; 0], "; "), "");
    }
}
