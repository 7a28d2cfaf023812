//! The members of a JSON object, without reading what nobody asked for.
//!
//! `serde_json` says whether a text is JSON. After that there is nothing left
//! to refuse, so values are found by walking over the text: what is read is
//! only names and the strings that were asked for. Numbers, deep values and
//! whatever else stands where a string should be are told by their first byte,
//! so no value can make valid JSON look broken. (Reading values through serde
//! too costs a component nearly 30 kB, most of it the wording of errors that cannot
//! happen here.)

mod scan;
#[cfg(test)]
mod tests;
mod walk;

use crate::error::{Found, ParseError};
use alloc::boxed::Box;
use alloc::string::String;
use scan::{Refusal, scan};
use serde::de::IgnoredAny;
use walk::{Members, behind_value, is_blank, split_string, unescape};

/// How deep arrays and objects may be nested in a body. A body is kept and
/// handed on as it came, and those who read it may recurse.
pub const MAX_DEPTH: usize = 64;

/// How many values a body may have, counted by commas and opening brackets.
/// For the same reason: a reader may build a tree of them.
pub const MAX_VALUES: usize = 100_000;

/// An error on its way out: it is large and rare, and boxed it is cheap to
/// hand on.
pub(crate) type Error = Box<ParseError>;

fn invalid(pointer: &'static str, expected: &'static str, found: Found) -> Error {
    Box::new(ParseError::Invalid {
        pointer,
        expected,
        found,
    })
}

/// The value that a body consists of: one JSON text in UTF-8, which may begin
/// with one byte order mark.
///
/// # Errors
/// [`ParseError::NotJson`] and [`ParseError::TooComplex`].
pub(crate) fn document(body: &[u8]) -> Result<Value<'_>, Error> {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    let (skipped, bytes) = match body.strip_prefix(BOM) {
        Some(rest) => (BOM.len(), rest),
        None => (0, body),
    };
    let in_body = |offset: usize| offset.saturating_add(skipped);
    let not_json = |offset, reason| {
        Box::new(ParseError::NotJson {
            offset: in_body(offset),
            reason,
        })
    };
    let too_complex = |offset, reason| {
        Box::new(ParseError::TooComplex {
            offset: in_body(offset),
            reason,
        })
    };

    let text = core::str::from_utf8(bytes)
        .map_err(|error| not_json(error.valid_up_to(), "a byte that is not UTF-8"))?;
    scan(bytes).map_err(|refusal| match refusal {
        Refusal::HalfPair(offset) => not_json(offset, "half of a surrogate pair"),
        Refusal::Depth(offset) => too_complex(offset, "more than 64 levels of arrays and objects"),
        Refusal::Values(offset) => too_complex(offset, "more than 100000 values"),
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

    /// The value as it stands in the text.
    fn json(self) -> &'a str {
        let rest = behind_value(self.0);
        self.0.strip_suffix(rest).unwrap_or_default()
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
    /// [`ParseError::Invalid`] when this is no object, at `pointer`.
    pub(crate) fn members<const N: usize>(
        self,
        pointer: &'static str,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), Error> {
        let mut wanted = pointers.map(|pointer| Member {
            pointer,
            value: None,
            is_repeated: false,
        });
        let others = self.find(pointer, &mut wanted)?;
        Ok((wanted, others))
    }

    /// [`members`](Self::members) for any number of them: code that is there
    /// once only.
    fn find(self, pointer: &'static str, wanted: &mut [Member<'a>]) -> Result<bool, Error> {
        let Some(inside) = self.0.strip_prefix('{') else {
            return Err(invalid(pointer, "an object", self.found()));
        };
        let mut others = false;
        for (name, value) in Members(inside) {
            let Some(member) = wanted.iter_mut().find(|member| member.is_named(&name)) else {
                others = true;
                continue;
            };
            member.is_repeated |= member.value.replace(value).is_some();
        }
        Ok(others)
    }
}

/// A member of an object that was asked for, there or not.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pointer: &'static str,
    /// The last value, if there are several.
    value: Option<Value<'a>>,
    is_repeated: bool,
}

impl<'a> Member<'a> {
    /// Whether the pointer to it ends in this name.
    fn is_named(&self, name: &str) -> bool {
        let parent = self.pointer.strip_suffix(name);
        parent.is_some_and(|parent| parent.ends_with('/')) && !name.contains('/')
    }

    /// Whether the member is there and not null.
    pub(crate) fn is_some(self) -> bool {
        self.is_repeated || self.value.is_some_and(|value| !value.is_null())
    }

    /// Whether the member is there, be it null.
    pub(crate) fn is_present(self) -> bool {
        self.value.is_some()
    }

    /// The error that something else was expected here.
    pub(crate) fn expected(self, expected: &'static str) -> Error {
        if self.is_repeated {
            return invalid(self.pointer, "one member of this name", Found::Duplicate);
        }
        let found = self.value.map_or(Found::Nothing, Value::found);
        invalid(self.pointer, expected, found)
    }

    /// The value, unless there are several: readers would differ in which of
    /// them they believe.
    fn only(self) -> Option<Value<'a>> {
        self.value.filter(|_| !self.is_repeated)
    }

    /// The text of a string.
    pub(crate) fn string(self) -> Result<String, Error> {
        self.only()
            .and_then(Value::text)
            .ok_or_else(|| self.expected("a string"))
    }

    /// The text of a string that is not empty.
    pub(crate) fn non_empty_string(self) -> Result<String, Error> {
        const EXPECTED: &str = "a string that is not empty";
        self.only()
            .and_then(Value::text)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.expected(EXPECTED))
    }

    /// The value word for word: the text of a string, or the JSON of anything
    /// else. `None` if the member is missing or null. And whether that is
    /// irregular: no string, or one of several values.
    pub(crate) fn verbatim(self) -> (Option<String>, bool) {
        let Some(value) = self.value.filter(|value| !value.is_null()) else {
            return (None, self.is_repeated);
        };
        match value.text() {
            Some(text) => (Some(text), self.is_repeated),
            None => (Some(value.json().into()), true),
        }
    }

    /// The members of an object, see [`Value::members`].
    pub(crate) fn members<const N: usize>(
        self,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), Error> {
        self.only()
            .ok_or_else(|| self.expected("an object"))?
            .members(self.pointer, pointers)
    }
}
