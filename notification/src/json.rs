//! The members of a JSON object, without reading what nobody asked for.
//!
//! Numbers, deep values and whatever else stands where a string should be are
//! told by their first byte and never read, so no value can make valid JSON
//! look broken.

use crate::error::{Found, ParseError};
use alloc::string::String;
use core::fmt;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

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
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let reason = if error.is_eof() {
            "the text ends too early"
        } else {
            "a syntax error"
        };
        not_json(offset(text, &error), reason)
    })?;
    Ok(Value(raw))
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

/// A JSON value that is known to be well-formed.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a RawValue);

impl<'a> Value<'a> {
    /// What kind of value this is; a string with its text.
    fn found(self) -> Found {
        match self.0.get().bytes().next() {
            Some(b'"') => Found::text(self.text().unwrap_or_default()),
            Some(b'{') => Found::Object,
            Some(b'[') => Found::Array,
            Some(b't' | b'f') => Found::Boolean,
            Some(b'n') => Found::Null,
            _ => Found::Number,
        }
    }

    fn begins_with(self, byte: u8) -> bool {
        self.0.get().as_bytes().first() == Some(&byte)
    }

    /// The text of a string.
    fn text(self) -> Option<String> {
        if self.begins_with(b'"') {
            serde_json::from_str(self.0.get()).ok()
        } else {
            None
        }
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
        let not_an_object = |found| ParseError::Invalid {
            pointer,
            expected: "an object",
            found,
        };
        if !self.begins_with(b'{') {
            return Err(not_an_object(self.found()));
        }
        let members = serde_json::Deserializer::from_str(self.0.get())
            .deserialize_map(Wanted(pointers))
            // Cannot be: the text was well-formed a moment ago.
            .map_err(|_| not_an_object(Found::Object))?;
        match members.duplicate {
            Some(pointer) => Err(ParseError::Invalid {
                pointer,
                expected: "one member of this name",
                found: Found::Duplicate,
            }),
            None => Ok((members.wanted, members.others)),
        }
    }
}

/// A member of an object that was asked for, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pointer: &'static str,
    value: Option<Value<'a>>,
}

impl<'a> Member<'a> {
    /// Whether the member is there and not null.
    pub(crate) fn is_some(self) -> bool {
        self.value.is_some_and(|value| !value.begins_with(b'n'))
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

/// Reads an object for the members that these pointers end in.
struct Wanted<const N: usize>([&'static str; N]);

/// What an object has of them.
struct Members<'a, const N: usize> {
    wanted: [Member<'a>; N],
    duplicate: Option<&'static str>,
    others: bool,
}

impl<'a, const N: usize> Visitor<'a> for Wanted<N> {
    type Value = Members<'a, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members {
            wanted: self.0.map(|pointer| Member {
                pointer,
                value: None,
            }),
            duplicate: None,
            others: false,
        };
        while let Some(index) = map.next_key_seed(Name(&self.0))? {
            let Some(member) = index.and_then(|index| members.wanted.get_mut(index)) else {
                map.next_value::<IgnoredAny>()?;
                members.others = true;
                continue;
            };
            if member.value.is_some() {
                members.duplicate = Some(member.pointer);
            }
            member.value = Some(Value(map.next_value()?));
        }
        Ok(members)
    }
}

/// Reads the name of a member as the index of the pointer that ends in it.
struct Name<'p>(&'p [&'static str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, name: D) -> Result<Self::Value, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let ends_in_name = |pointer: &&str| {
            pointer
                .rsplit_once('/')
                .is_some_and(|(_, last)| last == name)
        };
        Ok(self.0.iter().position(ends_in_name))
    }
}

#[cfg(test)]
mod tests;
