//! The error of parsing a notification.

use crate::push_decimal;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// Why a body is not a notification.
///
/// [`NotJson`](Self::NotJson) is exact: valid JSON (RFC 8259) never results in
/// it, and invalid JSON is never accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The body is not a JSON text. This includes bytes that are not UTF-8, and
    /// escapes of half a surrogate pair, because both are not Unicode.
    NotJson {
        /// The byte of the body at which reading stopped.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The body exceeds [`MAX_DEPTH`](crate::MAX_DEPTH) or
    /// [`MAX_VALUES`](crate::MAX_VALUES). It may be JSON or not.
    TooComplex {
        /// The byte of the body at which reading stopped.
        offset: usize,
        /// Which limit was exceeded.
        reason: &'static str,
    },
    /// The body is JSON, but not a notification of a batch task.
    Invalid {
        /// JSON Pointer (RFC 6901) to the member that is wrong.
        pointer: &'static str,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: Found,
    },
    /// The body is a dead letter, but the message inside it is not a
    /// notification. The offsets and pointers of the inner error refer to the
    /// inner message.
    DeadLetter(Box<ParseError>),
}

/// What was found instead of the expected value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The member is missing.
    Nothing,
    /// The member occurs more than once, and different readers would use
    /// different values.
    Duplicate,
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// Any number.
    Number,
    /// Any array.
    Array,
    /// Any object.
    Object,
    /// A string. If it is longer than 64 bytes, its beginning and an ellipsis.
    Text(String),
}

/// The greatest length of a text in an error, in bytes.
const EXCERPT_BYTES: usize = 64;

impl Found {
    /// Returns a string, cut off if it is long.
    pub(crate) fn text(mut text: String) -> Self {
        let end = text.floor_char_boundary(EXCERPT_BYTES);
        if end < text.len() {
            text.truncate(end);
            text.push('…');
        }
        Self::Text(text)
    }
}

/// The pointer to the member that contains the message of a dead letter.
pub(crate) const PAYLOAD: &str = "/base64_original_payload";

impl ParseError {
    /// Returns the JSON Pointer (RFC 6901) to the member of the body that is
    /// wrong, if there is one. For an error inside a dead letter, it is the
    /// member that contains the message.
    pub fn pointer(&self) -> Option<&'static str> {
        match self {
            Self::NotJson { .. } | Self::TooComplex { .. } => None,
            Self::Invalid { pointer, .. } => Some(pointer),
            Self::DeadLetter(_) => Some(PAYLOAD),
        }
    }

    /// Returns what is wrong, for people. It is the same text as that of
    /// `Display`, but is made without `core::fmt`.
    pub fn detail(&self) -> String {
        let mut text = String::new();
        self.describe(&mut text);
        text
    }

    fn describe(&self, text: &mut String) {
        match self {
            Self::NotJson { offset, reason } => {
                text.push_str("not JSON: ");
                text.push_str(reason);
                push_offset(text, *offset);
            }
            Self::TooComplex { offset, reason } => {
                text.push_str(reason);
                push_offset(text, *offset);
            }
            Self::Invalid {
                pointer,
                expected,
                found,
            } => {
                if !pointer.is_empty() {
                    text.push('`');
                    text.push_str(pointer);
                    text.push_str("`: ");
                }
                text.push_str("expected ");
                text.push_str(expected);
                text.push_str(", found ");
                found.describe(text);
            }
            Self::DeadLetter(inner) => {
                text.push_str("inside the dead letter: ");
                inner.describe(text);
            }
        }
    }
}

impl Found {
    fn describe(&self, text: &mut String) {
        match self {
            Self::Nothing => text.push_str("nothing"),
            Self::Duplicate => text.push_str("more than one"),
            Self::Null => text.push_str("null"),
            Self::Boolean => text.push_str("a boolean"),
            Self::Number => text.push_str("a number"),
            Self::Array => text.push_str("an array"),
            Self::Object => text.push_str("an object"),
            Self::Text(found) if found.is_empty() => text.push_str("an empty string"),
            Self::Text(found) => {
                text.push('`');
                text.push_str(found);
                text.push('`');
            }
        }
    }
}

/// Appends ` at byte 17`.
fn push_offset(text: &mut String, offset: usize) {
    text.push_str(" at byte ");
    push_decimal(text, u64::try_from(offset).unwrap_or(u64::MAX));
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl core::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn invalid(found: Found) -> ParseError {
        ParseError::Invalid {
            pointer: "/event",
            expected: "`update`",
            found,
        }
    }

    #[test]
    fn texts() {
        let not_json = ParseError::NotJson {
            offset: 1070,
            reason: "a syntax error",
        };
        let too_complex = ParseError::TooComplex {
            offset: 0,
            reason: "more than 64 levels of arrays and objects",
        };
        let letter = ParseError::DeadLetter(Box::new(invalid(Found::Duplicate)));
        let document = ParseError::Invalid {
            pointer: "",
            expected: "an object",
            found: Found::Array,
        };
        let delete = Found::text("delete".into());
        let empty = Found::text("".into());
        for (error, pointer, text) in [
            (not_json, None, "not JSON: a syntax error at byte 1070"),
            (
                too_complex,
                None,
                "more than 64 levels of arrays and objects at byte 0",
            ),
            (document, Some(""), "expected an object, found an array"),
            (
                invalid(Found::Nothing),
                Some("/event"),
                "`/event`: expected `update`, found nothing",
            ),
            (
                invalid(Found::Null),
                Some("/event"),
                "`/event`: expected `update`, found null",
            ),
            (
                invalid(Found::Boolean),
                Some("/event"),
                "`/event`: expected `update`, found a boolean",
            ),
            (
                invalid(Found::Number),
                Some("/event"),
                "`/event`: expected `update`, found a number",
            ),
            (
                invalid(Found::Object),
                Some("/event"),
                "`/event`: expected `update`, found an object",
            ),
            (
                invalid(delete),
                Some("/event"),
                "`/event`: expected `update`, found `delete`",
            ),
            (
                invalid(empty),
                Some("/event"),
                "`/event`: expected `update`, found an empty string",
            ),
            (
                letter,
                Some("/base64_original_payload"),
                "inside the dead letter: `/event`: expected `update`, found more than one",
            ),
        ] {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.pointer(), pointer);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(Found::text("é".repeat(32)), Found::Text("é".repeat(32)));
        let cut = "a".to_string() + &"é".repeat(31) + "…";
        assert_eq!(
            Found::text("a".to_string() + &"é".repeat(32)),
            Found::Text(cut)
        );
    }
}
