//! Writes decimal numbers.

use alloc::string::String;

/// Appends a number in decimal digits.
///
/// This replaces `write!`, which would add `core::fmt` to the component.
pub fn push_decimal(text: &mut String, number: u64) {
    let start = text.len();
    let mut rest = number;
    loop {
        let digit = u32::try_from(rest % 10).unwrap_or_default();
        text.insert(start, char::from_digit(digit, 10).unwrap_or('0'));
        rest /= 10;
        if rest == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_digits_are_appended() {
        for number in [0, 9, 10, 1070, u64::MAX] {
            let mut text = String::from("é");
            push_decimal(&mut text, number);
            assert_eq!(text, "é".to_string() + &number.to_string());
        }
    }
}
