//! Header fields of a request.

use alloc::string::String;
use alloc::vec::Vec;

use crate::text::number;

/// Header fields as received: names in any case, values of any bytes.
pub type Fields = [(String, Vec<u8>)];

/// The value of a header field that occurs exactly once and is text.
pub(crate) fn header<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut values = values(fields, name);
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => text(value),
    }
}

/// Every value of a header field.
pub(crate) fn values<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let named = fields
        .iter()
        .filter(move |(found, _)| found.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_slice())
}

/// The length that a request declares for its body, in bytes.
pub(crate) fn declared_length(fields: &Fields) -> Option<u64> {
    number(header(fields, "content-length")?, 0..=u64::MAX)
}

/// The token of an `Authorization` field whose scheme is `Bearer`.
pub(crate) fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// A value as text, if it is UTF-8.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    core::str::from_utf8(value).ok()
}
