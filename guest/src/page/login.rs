//! The login: a link carries the read token, and a cookie keeps it.

use alloc::string::String;

use super::parts::{encoded, page};
use crate::bindings::exports::batchtask::receiver::intake::Response;
use crate::percent::decode;

/// The name of the cookie with the read token.
const COOKIE: &str = "batchtask_read_token";

/// Returns the answer to the link that carries the token. It sets the cookie,
/// and then the browser loads the page without the token. This is not a
/// redirect: if the link was opened from another site, the browser would not
/// send a `SameSite=Strict` cookie after a redirect.
pub fn entered(token: &str) -> Response {
    let mut response = page("Batch tasks", &mut |html| {
        html.markup("<p><a href='/'>Continue</a></p>");
    });
    let mut cookie = String::from(COOKIE);
    cookie.push('=');
    cookie.push_str(&encoded(token));
    cookie.push_str("; Path=/; HttpOnly; SameSite=Strict");
    response.headers.push(("set-cookie".into(), cookie));
    response.headers.push(("refresh".into(), "0;url=/".into()));
    response
}

/// Returns the token in a `Cookie` field, if there is one.
pub fn token_of(cookies: &str) -> Option<String> {
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim_ascii().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    decode(value)
}
