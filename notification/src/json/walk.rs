//! Steps over a text that is known to be JSON.

use super::Value;
use alloc::borrow::Cow;
use alloc::string::String;
use core::str::Chars;

/// Names and values of an object, from the text behind its opening bracket or
/// behind one of its values.
pub(super) struct Members<'a>(pub(super) &'a str);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        // A comma before all but the first; at the end a closing bracket.
        let name = self.0.trim_start_matches(|c| is_blank(c) || c == ',');
        let (name, rest) = split_string(name.strip_prefix('"')?);
        let value = rest.trim_start_matches(|c| is_blank(c) || c == ':');
        self.0 = behind_value(value);
        Some((unescape(name), Value(value)))
    }
}

/// The white space of JSON.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Divides the text behind an opening quote at the closing one.
pub(super) fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    // Bytes: no part of a longer character looks like a quote, and there are
    // half as many instructions as in reading characters.
    let end = text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let parts = end.and_then(|end| text.split_at_checked(end));
    let (inside, rest) = parts.unwrap_or((text, ""));
    (inside, without_first(rest))
}

/// The text behind the value that a text begins with.
pub(super) fn behind_value(text: &str) -> &str {
    let mut depth: usize = 0;
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        rest = without_first(rest);
        match first {
            b'"' => rest = split_string(rest).1,
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            // A number, `true`, `false` or `null`; or what stands between values.
            _ => {
                let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
                rest = rest.trim_start_matches(more);
            }
        }
        if depth == 0 {
            break;
        }
    }
    rest
}

/// The text behind its first character, which is one of ASCII.
fn without_first(text: &str) -> &str {
    text.get(1..).unwrap_or_default()
}

/// The text that the inside of a string stands for.
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

/// The character that an escape stands for, from behind its backslash on.
fn unescape_one(chars: &mut Chars<'_>) -> char {
    match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let unit = code_unit(chars);
            // The second half of a pair is there: the scan has seen it.
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

/// The number that four hexadecimal digits make.
fn code_unit(chars: &mut Chars<'_>) -> u16 {
    let digits = chars.by_ref().take(4).filter_map(|c| c.to_digit(16));
    let unit = digits.fold(0, |unit, digit| unit << 4 | digit);
    u16::try_from(unit).unwrap_or_default()
}
