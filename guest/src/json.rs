//! Writes JSON text, member by member.
//!
//! The answers have few shapes, and are written directly from the journal's
//! records. Structs that derive `Serialize` would add 10 kB to the component.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_notification::{hex, push_decimal};

/// An array of objects ends with the object that makes the whole text at least
/// this long, in bytes.
pub const LIST_BYTES_MAX: usize = 2 << 20;

/// A JSON object that is being written.
pub struct Object {
    text: Vec<u8>,
}

impl Object {
    /// Returns the text of an object. `members` writes its members.
    pub fn text_of(members: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut object = Self { text: Vec::new() };
        object.push(b'{');
        members(&mut object);
        object.push(b'}');
        object.text
    }

    /// Writes a member that is a string.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.string(value);
    }

    /// Writes a member that is a string, if there is a value.
    pub fn text_if_any(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// Writes a member that is a string or null.
    pub fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => {
                self.name(name);
                self.text.extend_from_slice(b"null");
            }
        }
    }

    /// Writes a member that is a number.
    pub fn number(&mut self, name: &str, value: u64) {
        let mut digits = String::new();
        push_decimal(&mut digits, value);
        self.name(name);
        self.text.extend_from_slice(digits.as_bytes());
    }

    /// Writes a member that is a number or null.
    pub fn number_or_null(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.text_or_null(name, None),
        }
    }

    /// Writes a member that is true or false.
    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        let literal: &[u8] = if value { b"true" } else { b"false" };
        self.text.extend_from_slice(literal);
    }

    /// Writes a member that is an array of strings.
    pub fn texts<T: AsRef<str>>(&mut self, name: &str, values: &[T]) {
        self.open(name, b'[');
        for value in values {
            self.separate();
            self.string(value.as_ref());
        }
        self.push(b']');
    }

    /// Writes a member that is an object. `members` writes its members.
    pub fn object(&mut self, name: &str, members: impl FnOnce(&mut Self)) {
        self.open(name, b'{');
        members(self);
        self.push(b'}');
    }

    /// Writes a member that is an array with an object for each value. `members`
    /// writes the members of an object. Returns the number of objects: the array
    /// ends with the object that makes the text [`LIST_BYTES_MAX`] long, because
    /// escaped text may be six times as long as the stored text.
    pub fn objects<T>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
        mut members: impl FnMut(&mut Self, T),
    ) -> usize {
        let mut count: usize = 0;
        self.open(name, b'[');
        for value in values {
            self.separate();
            self.push(b'{');
            members(self, value);
            self.push(b'}');
            count = count.saturating_add(1);
            if self.text.len() >= LIST_BYTES_MAX {
                break;
            }
        }
        self.push(b']');
        count
    }

    fn name(&mut self, name: &str) {
        self.separate();
        self.string(name);
        self.text.push(b':');
    }

    /// Writes the name of a member, and the bracket with which its value begins.
    fn open(&mut self, name: &str, bracket: u8) {
        self.name(name);
        self.push(bracket);
    }

    /// Not inlined, because the functions for arrays and objects exist for each kind of
    /// members.
    #[inline(never)]
    fn push(&mut self, bracket: u8) {
        self.text.push(bracket);
    }

    /// Writes a comma, unless an opening bracket was written last. No value ends
    /// with an opening bracket.
    fn separate(&mut self) {
        if !matches!(self.text.last(), Some(b'{' | b'[')) {
            self.text.push(b',');
        }
    }

    /// Writes a string, escaped (RFC 8259, section 7).
    fn string(&mut self, value: &str) {
        self.text.push(b'"');
        for &byte in value.as_bytes() {
            let short = match byte {
                b'"' | b'\\' => byte,
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x08 => b'b',
                0x0c => b'f',
                0..0x20 => b'u',
                _ => {
                    self.text.push(byte);
                    continue;
                }
            };
            self.text.extend_from_slice(&[b'\\', short]);
            if short == b'u' {
                self.text.extend_from_slice(b"00");
                self.text.extend_from_slice(hex(&[byte]).as_bytes());
            }
        }
        self.text.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(members: impl FnOnce(&mut Object)) -> String {
        String::from_utf8(Object::text_of(members)).unwrap()
    }

    #[test]
    fn members_of_every_kind() {
        let written = text(|object| {
            object.text("a", "b");
            object.text_if_any("none", None);
            object.text_if_any("some", Some("c"));
            object.text_or_null("null", None);
            object.number("least", 0);
            object.number("greatest", u64::MAX);
            object.number_or_null("no number", None);
            object.boolean("true", true);
            object.boolean("false", false);
            object.texts("no texts", &[""; 0]);
            object.texts("texts", &["{", "["]);
            let none = object.objects("no objects", [0; 0], |_, _| {});
            let both = object.objects("objects", [1, 20], |object, number| {
                if number > 1 {
                    object.number("n", number);
                }
            });
            assert_eq!((none, both), (0, 2));
        });
        let expected = r#"{"a":"b","some":"c","null":null,"least":0,"greatest":18446744073709551615,"no number":null,"true":true,"false":false,"no texts":[],"texts":["{","["],"no objects":[],"objects":[{},{"n":20}]}"#;
        assert_eq!(written, expected);
        assert_eq!(text(|_| {}), "{}");
    }

    #[test]
    fn an_array_ends_with_the_object_that_makes_it_long() {
        let long = "\u{1}".repeat(LIST_BYTES_MAX / 12);
        let mut count = 0;
        let written = text(|object| {
            count = object.objects("a", [""; 9], |object, _| object.text("b", &long));
        });
        assert_eq!(count, 2);
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(value["a"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn strings_are_escaped_where_they_must_be_and_nowhere_else() {
        let written =
            text(|object| object.text("\"", "\\ / \u{0}\u{8}\t\n\u{c}\r\u{1f}\u{7f} é\u{2028}𝄞"));
        let expected = "{\"\\\"\":\"\\\\ / \\u0000\\b\\t\\n\\f\\r\\u001f\u{7f} é\u{2028}𝄞\"}";
        assert_eq!(written, expected);
    }

    proptest! {
        #[test]
        fn a_library_agrees(value in any::<String>()) {
            let written = text(|object| object.text("a", &value));
            prop_assert_eq!(written, serde_json::json!({"a": value}).to_string());
        }
    }
}
