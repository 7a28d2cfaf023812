//! Finds the members of a JSON object, without reading other values.
//!
//! `serde_json` checks that a text is JSON. After that no error is possible, so
//! members are found by walking over the text. Only names and the requested
//! strings are decoded. The kind of any other value follows from its first byte,
//! so no value can make valid JSON look invalid. Reading values with serde too
//! would add nearly 30 kB to the component, most of it texts of errors that
//! cannot happen here.

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

/// The greatest depth of nested arrays and objects in a body. A body is stored
/// and returned as received, and programs that read it may recurse.
pub const MAX_DEPTH: usize = 64;

/// The greatest number of values in a body, counted by commas and opening
/// brackets. Programs that read the body may build a tree of its values.
pub const MAX_VALUES: usize = 100_000;

/// A boxed error: the error is large and rare, so results stay small.
pub(crate) type Error = Box<ParseError>;

fn invalid(pointer: &'static str, expected: &'static str, found: Found) -> Error {
    Box::new(ParseError::Invalid {
        pointer,
        expected,
        found,
    })
}

/// Checks a body, and returns its value. A body is one JSON text in UTF-8, which
/// may begin with one byte order mark.
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

/// Returns the offset of an error, from its line and column.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text
        .split_inclusive('\n')
        .take(lines_before)
        .map(str::len)
        .sum();
    // Columns count from 1. At the end of the text, the column is that of the
    // last byte.
    let column = if error.is_eof() {
        error.column()
    } else {
        error.column().saturating_sub(1)
    };
    line_start.saturating_add(column).min(text.len())
}

/// A JSON value: a text that begins with the value, which is well-formed. The
/// text after the value is ignored.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// Returns the kind of the value; for a string, also its text.
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

    /// Returns the JSON text of the value, unchanged.
    fn json(self) -> &'a str {
        let rest = behind_value(self.0);
        self.0.strip_suffix(rest).unwrap_or_default()
    }

    /// Returns the text of a string. `None` for other values.
    fn text(self) -> Option<String> {
        let (escaped, _) = split_string(self.0.strip_prefix('"')?);
        Some(unescape(escaped).into_owned())
    }

    /// Returns the members of an object whose names are the last parts of
    /// `pointers`, in that order, and whether the object has other members.
    /// Names are compared after unescaping.
    ///
    /// # Errors
    /// [`ParseError::Invalid`] at `pointer` if this is not an object.
    pub(crate) fn members<const N: usize>(
        self,
        pointer: &'static str,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), Error> {
        let mut members = pointers.map(|pointer| Member {
            pointer,
            value: None,
            is_repeated: false,
        });
        let has_others = self.find(pointer, &mut members)?;
        Ok((members, has_others))
    }

    /// Does the work of [`members`](Self::members). Not generic, so that the
    /// component contains it only once.
    fn find(self, pointer: &'static str, members: &mut [Member<'a>]) -> Result<bool, Error> {
        let Some(inside) = self.0.strip_prefix('{') else {
            return Err(invalid(pointer, "an object", self.found()));
        };
        let mut has_others = false;
        for (name, value) in Members(inside) {
            let Some(member) = members.iter_mut().find(|member| member.is_named(&name)) else {
                has_others = true;
                continue;
            };
            member.is_repeated |= member.value.replace(value).is_some();
        }
        Ok(has_others)
    }
}

/// A requested member of an object, present or not.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    pointer: &'static str,
    /// The last value, if the member occurs several times.
    value: Option<Value<'a>>,
    is_repeated: bool,
}

impl<'a> Member<'a> {
    /// Whether the pointer to the member ends in this name.
    fn is_named(&self, name: &str) -> bool {
        let parent = self.pointer.strip_suffix(name);
        parent.is_some_and(|parent| parent.ends_with('/')) && !name.contains('/')
    }

    /// Whether the member is present and not null.
    pub(crate) fn is_some(self) -> bool {
        self.is_repeated || self.value.is_some_and(|value| !value.is_null())
    }

    /// Whether the member is present. It may be null.
    pub(crate) fn is_present(self) -> bool {
        self.value.is_some()
    }

    /// Returns the error that another value was expected here.
    pub(crate) fn expected(self, expected: &'static str) -> Error {
        if self.is_repeated {
            return invalid(self.pointer, "one member of this name", Found::Duplicate);
        }
        let found = self.value.map_or(Found::Nothing, Value::found);
        invalid(self.pointer, expected, found)
    }

    /// Returns the value, unless the member occurs several times: different
    /// readers would use different values.
    fn only(self) -> Option<Value<'a>> {
        self.value.filter(|_| !self.is_repeated)
    }

    /// Returns the text of a string.
    pub(crate) fn string(self) -> Result<String, Error> {
        self.only()
            .and_then(Value::text)
            .ok_or_else(|| self.expected("a string"))
    }

    /// Returns the text of a string that is not empty.
    pub(crate) fn non_empty_string(self) -> Result<String, Error> {
        const EXPECTED: &str = "a string that is not empty";
        self.only()
            .and_then(Value::text)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.expected(EXPECTED))
    }

    /// Returns the text of a string, or the JSON text of any other value. It is
    /// `None` if the member is missing or null. Also returns whether the member
    /// is irregular: not a string, or repeated.
    pub(crate) fn verbatim(self) -> (Option<String>, bool) {
        let Some(value) = self.value.filter(|value| !value.is_null()) else {
            return (None, self.is_repeated);
        };
        match value.text() {
            Some(text) => (Some(text), self.is_repeated),
            None => (Some(value.json().into()), true),
        }
    }

    /// Returns members of an object, see [`Value::members`].
    pub(crate) fn members<const N: usize>(
        self,
        pointers: [&'static str; N],
    ) -> Result<([Member<'a>; N], bool), Error> {
        self.only()
            .ok_or_else(|| self.expected("an object"))?
            .members(self.pointer, pointers)
    }
}
