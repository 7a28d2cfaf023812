//! Walks over a text that is known to be JSON.

use super::Value;
use alloc::borrow::Cow;
use alloc::string::String;
use core::str::Chars;

/// An iterator over the names and values of an object. It holds the text after
/// the opening bracket, or after the last value.
pub(super) struct Members<'a>(pub(super) &'a str);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // There is a comma before each member but the first, and a closing bracket
        // after the last.
        let name = self.0.trim_start_matches(|c| is_blank(c) || c == ',');
        let (name, rest) = split_string(name.strip_prefix('"')?);
        let value = rest.trim_start_matches(|c| is_blank(c) || c == ':');
        self.0 = behind_value(value);
        Some((unescape(name), Value(value)))
    }
}

/// Whether a character is white space in JSON.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Splits the text after an opening quote at the closing quote.
pub(super) fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    // Bytes need half as many instructions as characters, and no byte of a longer
    // character looks like a quote.
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let parts = end.and_then(|end| text.split_at_checked(end));
    let (inside, rest) = parts.unwrap_or((text, ""));
    (inside, without_first(rest))
}

/// Returns the text after the value with which a text begins.
pub(super) fn behind_value(text: &str) -> &str {
    let mut depth: usize = 0;
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        rest = without_first(rest);
        match first {
            b'"' => rest = split_string(rest).1,
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            // A number, `true`, `false` or `null`; or a character between values.
            _ => {
                let continues = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
                rest = rest.trim_start_matches(continues);
            }
        }
        if depth == 0 {
            break;
        }
    }
    rest
}

/// Returns the text after its first character, which must be ASCII.
fn without_first(text: &str) -> &str {
    text.get(1..).unwrap_or_default()
}

/// Decodes the escapes in the inside of a string.
pub(super) fn unescape(inside: &str) -> Cow<'_, str> {
    if !inside.contains('\\') {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(first) = chars.next() {
        text.push(match first {
            '\\' => unescape_one(&mut chars),
            plain => plain,
        });
    }
    Cow::Owned(text)
}

/// Decodes one escape, from the character after the backslash on.
fn unescape_one(chars: &mut Chars<'_>) -> char {
    match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let unit = code_unit(chars);
            // The low surrogate follows: the scan has checked that.
            let low = if matches!(unit, 0xD800..=0xDBFF) {
                chars.nth(1);
                code_unit(chars)
            } else {
                0
            };
            let mut decoded = char::decode_utf16([unit, low]);
            decoded.next().and_then(Result::ok).unwrap_or_default()
        }
        Some(itself) => itself,
        None => '\\',
    }
}

/// Parses four hexadecimal digits.
fn code_unit(chars: &mut Chars<'_>) -> u16 {
    let digits = chars.by_ref().take(4).filter_map(|c| c.to_digit(16));
    let unit = digits.fold(0, |unit, digit| unit << 4 | digit);
    u16::try_from(unit).unwrap_or_default()
}
