//! Reads the header fields of a request.

use alloc::string::String;
use alloc::vec::Vec;

use crate::text::number;

/// Header fields as received. Names may be in upper or lower case, and values
/// may be any bytes.
pub type Fields = [(String, Vec<u8>)];

/// Returns the value of a header field if it occurs exactly once and is UTF-8.
pub(crate) fn header<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut values = values(fields, name);
    let value = values.next()?;
    match values.next() {
        Some(_) => None,
        None => text(value),
    }
}

/// Returns all values of a header field.
pub(crate) fn values<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    (0..).map_while(move |place| value(fields, name, place))
}

/// Returns the value at this place among the values of a header field. Not
/// inlined, because the many callers would make the component larger.
#[inline(never)]
fn value<'a>(fields: &'a Fields, name: &str, place: usize) -> Option<&'a [u8]> {
    let mut named = fields
        .iter()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named.nth(place).map(|(_, value)| value.as_slice())
}

/// Whether a browser sent the request for a page of another site. The platform
/// sends neither of the two fields that show this. `Sec-Fetch-Site` decides if it is
/// present, because a proxy may replace `Host`, to which `Origin` is compared. A page
/// cannot set any of these fields for another site.
pub fn is_cross_site(fields: &Fields) -> bool {
    let mut sites = values(fields, "sec-fetch-site").peekable();
    if sites.peek().is_some() {
        return sites.any(|site| !matches!(site, b"same-origin" | b"none"));
    }
    let hosts = ["host", "x-forwarded-host"].map(|name| header(fields, name));
    let is_foreign = |origin: &[u8]| {
        let origin = text(origin).unwrap_or_default();
        let rest = origin.strip_prefix("http").unwrap_or_default();
        let authority = rest.strip_prefix('s').unwrap_or(rest).strip_prefix("://");
        authority.is_none() || !hosts.contains(&authority)
    };
    values(fields, "origin").any(is_foreign)
}

/// Whether a browser sent the request from a page that it received over https,
/// wherever TLS ends.
pub(crate) fn is_from_https(fields: &Fields) -> bool {
    header(fields, "origin").is_some_and(|origin| origin.starts_with("https:"))
}

/// Returns the `Content-Length` of a request, in bytes.
pub fn declared_length(fields: &Fields) -> Option<u64> {
    number(header(fields, "content-length")?, 0..=u64::MAX)
}

/// Returns the token of an `Authorization` field with the scheme `Bearer`.
pub(crate) fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

/// Returns a value as text, if it is UTF-8.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    core::str::from_utf8(value).ok()
}
