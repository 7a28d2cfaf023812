//! The way in: the read token as a link, then as a cookie.

use alloc::string::String;

use super::parts::{encoded, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::percent::decode;

/// The cookie that a reader's browser keeps.
const COOKIE: &str = "batchtask_read_token";

/// The answer to the link that carries the token: the browser keeps it as a
/// cookie, and goes on to the page without it. Not by a redirect: one that
/// began on another site would not send a cookie of `SameSite=Strict`.
pub fn entered(token: &str) -> Response {
    let mut response = page("Batch tasks", &mut |html| {
        html.markup("<p><a href='/'>Go on</a></p>");
    });
    let mut cookie = String::from(COOKIE);
    cookie.push('=');
    cookie.push_str(&encoded(token));
    cookie.push_str("; Path=/; HttpOnly; SameSite=Strict");
    response.headers.push(("set-cookie".into(), cookie));
    response.headers.push(("refresh".into(), "0;url=/".into()));
    response
}

/// The token in a `Cookie` field.
pub fn token_of(cookies: &str) -> Option<String> {
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim_ascii().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    decode(value)
}
