//! The members of a JSON object, without reading what nobody asked for.
//!
//! `serde_json` says whether a text is JSON. After that there is nothing left
//! to refuse, so values are found by walking over the text: what is read is
//! only names and the strings that were asked for. Numbers, deep values and
//! whatever else stands where a string should be are told by their first byte,
//! so no value can make valid JSON look broken. (Reading values through serde
//! too costs the component 30 kB, most of it the wording of errors that cannot
//! happen here.)

use crate::error::{Found, ParseError};
use alloc::borrow::Cow;
use alloc::string::String;
use core::str::Chars;
use serde::de::IgnoredAny;

/// How deep arrays and objects may be nested in a body. A body is kept and
/// handed on as it came, and those who read it may recurse.
pub const MAX_DEPTH: usize = 64;

/// How many values a body may have, counted by commas and opening brackets.
/// For the same reason: a reader may build a tree of them.
pub const MAX_VALUES: usize = 100_000;

/// The value that a body consists of: one JSON text in UTF-8, which may begin
/// with one byte order mark.
///
/// # Errors
/// [`ParseError::NotJson`] and [`ParseError::TooComplex`].
pub(crate) fn document(body: &[u8]) -> Result<Value<'_>, ParseError> {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    let (skipped, bytes) = match body.strip_prefix(BOM) {
        Some(rest) => (BOM.len(), rest),
        None => (0, body),
    };
    let in_body = |offset: usize| offset.saturating_add(skipped);
    let not_json = |offset, reason| ParseError::NotJson {
        offset: in_body(offset),
        reason,
    };

    let text = core::str::from_utf8(bytes)
        .map_err(|error| not_json(error.valid_up_to(), "a byte that is not UTF-8"))?;
    scan(bytes).map_err(|refusal| match refusal {
        Refusal::HalfPair(offset) => not_json(offset, "half of a surrogate pair"),
        Refusal::Depth(offset) => ParseError::TooComplex {
            offset: in_body(offset),
            reason: "more than 64 levels of arrays and objects",
        },
        Refusal::Values(offset) => ParseError::TooComplex {
            offset: in_body(offset),
            reason: "more than 100000 values",
        },
    })?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
        let reason = if error.is_eof() {
            "the text ends too early"
        } else {
            "a syntax error"
        };
        not_json(offset(text, &error), reason)
    })?;
    Ok(Value(text.trim_start_matches(is_blank)))
}

/// Where an error is, from its line and column.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text
        .split_inclusive('\n')
        .take(lines_before)
        .map(str::len)
        .sum();
    // Columns count from 1, and at the end name the last byte there is.
    let column = if error.is_eof() {
        error.column()
    } else {
        error.column().saturating_sub(1)
    };
    line_start.saturating_add(column).min(text.len())
}

/// What the scan refuses, and at which byte.
enum Refusal {
    HalfPair(usize),
    Depth(usize),
    Values(usize),
}

/// Refuses what the syntax of JSON allows and this crate does not take: it is
/// exact for JSON texts, and may say anything about others.
fn scan(bytes: &[u8]) -> Result<(), Refusal> {
    let mut depth: usize = 0;
    let mut values: usize = 0;
    let mut rest = bytes.iter().enumerate();
    while let Some((at, &byte)) = rest.next() {
        match byte {
            b'"' => scan_string(&mut rest)?,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                values = values.saturating_add(1);
            }
            b',' => values = values.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Refusal::Depth(at));
        }
        if values > MAX_VALUES {
            return Err(Refusal::Values(at));
        }
    }
    Ok(())
}

type Bytes<'a> = core::iter::Enumerate<core::slice::Iter<'a, u8>>;

/// Goes behind the closing quote of a string. Escapes of surrogates must come
/// in pairs, the high one first.
fn scan_string(rest: &mut Bytes<'_>) -> Result<(), Refusal> {
    // The high surrogate just before, whose low one must follow at once.
    let mut high: Option<usize> = None;
    while let Some((at, &byte)) = rest.next() {
        let unit = if byte == b'\\' { escape(rest) } else { None };
        match (high.take(), unit) {
            (None, Some(0xD800..=0xDBFF)) => high = Some(at),
            (None, Some(0xDC00..=0xDFFF)) => return Err(Refusal::HalfPair(at)),
            (Some(_), Some(0xDC00..=0xDFFF)) => {}
            (Some(high), _) => return Err(Refusal::HalfPair(high)),
            (None, _) if byte == b'"' => return Ok(()),
            (None, _) => {}
        }
    }
    Ok(())
}

/// Goes behind an escape; the UTF-16 code unit if it is a `\u` escape.
fn escape(rest: &mut Bytes<'_>) -> Option<u32> {
    let (_, &kind) = rest.next()?;
    if kind != b'u' {
        return None;
    }
    let mut unit: u32 = 0;
    for _ in 0..4 {
        let (_, &byte) = rest.next()?;
        let digit = char::from(byte).to_digit(16)?;
        unit = unit << 4 | digit;
    }
    Some(unit)
}

/// A JSON value: a text that begins with one. It is known to be well-formed,
/// and what follows it does not matter.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// What kind of value this is; a string with its text.
    fn found(self) -> Found {
        match self.0.bytes().next() {
            Some(b'"') => Found::text(self.text().unwrap_or_default()),
            Some(b'{') => Found::Object,
            Some(b'[') => Found::Array,
            Some(b't' | b'f') => Found::Boolean,
            Some(b'n') => Found::Null,
            _ => Found::Number,
        }
    }

    fn is_null(self) -> bool {
        self.0.starts_with('n')
    }

    /// The text of a string.
    fn text(self) -> Option<String> {
        let (escaped, _) = split_string(self.0.strip_prefix('"')?);
        Some(unescape(escaped).into_owned())
    }

    /// The members of an object that `pointers` end in, in that order, and
    /// whether it has others. Names compare after unescaping.
    ///
    /// # Errors
    /// [`ParseError::Invalid`] when this is no object, at `pointer`, or when it
    /// has one of these members twice.
    pub(crate) fn members<const N: usize>(
        self,
        pointer: &'static str,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), ParseError> {
        let inside = self
            .0
            .strip_prefix('{')
            .ok_or_else(|| ParseError::Invalid {
                pointer,
                expected: "an object",
                found: self.found(),
            })?;
        let mut wanted = pointers.map(|pointer| Member {
            pointer,
            value: None,
        });
        let mut others = false;
        for (name, value) in Members(inside) {
            let Some(member) = wanted.iter_mut().find(|member| member.is_named(&name)) else {
                others = true;
                continue;
            };
            if member.value.replace(value).is_some() {
                return Err(ParseError::Invalid {
                    pointer: member.pointer,
                    expected: "one member of this name",
                    found: Found::Duplicate,
                });
            }
        }
        Ok((wanted, others))
    }
}

/// Names and values of an object, from the text behind its opening bracket or
/// behind one of its values.
struct Members<'a>(&'a str);

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
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Divides the text behind an opening quote at the closing one.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let closes = |c: char| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    };
    text.split_once(closes).unwrap_or((text, ""))
}

/// The text behind the value that a text begins with.
fn behind_value(text: &str) -> &str {
    let mut depth: usize = 0;
    let mut chars = text.chars();
    while let Some(first) = chars.next() {
        let rest = chars.as_str();
        match first {
            '"' => chars = split_string(rest).1.chars(),
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' | ':' | ' ' | '\t' | '\n' | '\r' => {}
            // A number, `true`, `false` or `null`.
            _ => {
                let more = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
                chars = rest.trim_start_matches(more).chars();
            }
        }
        if depth == 0 {
            break;
        }
    }
    chars.as_str()
}

/// The text that the inside of a string stands for.
fn unescape(inside: &str) -> Cow<'_, str> {
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

/// A member of an object that was asked for, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pointer: &'static str,
    value: Option<Value<'a>>,
}

impl<'a> Member<'a> {
    /// Whether the pointer to it ends in this name.
    fn is_named(&self, name: &str) -> bool {
        let last = self.pointer.rsplit_once('/').map(|(_, last)| last);
        last == Some(name)
    }

    /// Whether the member is there and not null.
    pub(crate) fn is_some(self) -> bool {
        self.value.is_some_and(|value| !value.is_null())
    }

    /// Whether the member is there, be it null.
    pub(crate) fn is_present(self) -> bool {
        self.value.is_some()
    }

    /// The error that something else was expected here.
    pub(crate) fn expected(self, expected: &'static str) -> ParseError {
        ParseError::Invalid {
            pointer: self.pointer,
            expected,
            found: self.value.map_or(Found::Nothing, Value::found),
        }
    }

    /// The text of a string.
    pub(crate) fn string(self) -> Result<String, ParseError> {
        self.value
            .and_then(Value::text)
            .ok_or_else(|| self.expected("a string"))
    }

    /// The text of a string that is not empty.
    pub(crate) fn non_empty_string(self) -> Result<String, ParseError> {
        const EXPECTED: &str = "a string that is not empty";
        self.value
            .and_then(Value::text)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.expected(EXPECTED))
    }

    /// The text of a string; none when the member is missing or null.
    pub(crate) fn optional_string(self) -> Result<Option<String>, ParseError> {
        self.is_some().then(|| self.string()).transpose()
    }

    /// The members of an object, see [`Value::members`].
    pub(crate) fn members<const N: usize>(
        self,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), ParseError> {
        self.value
            .ok_or_else(|| self.expected("an object"))?
            .members(self.pointer, pointers)
    }
}

#[cfg(test)]
mod tests;
