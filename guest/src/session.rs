//! The sessions of browsers. A session is a cookie: the time at which it ends, and a
//! keyed digest of that time. The token is the key, and is not in the cookie. Nothing
//! is stored here, so a session ends with its time or with its token.

use alloc::boxed::Box;
use alloc::string::String;
use batchtask_notification::{hex, push_decimal, sha256};

use crate::headers::{Fields, bearer, header, text, values};
use crate::outcomes::Problem;
use crate::settings::Settings;
use crate::signature::is_secret;
use crate::text::number;

/// How long a session lasts, in seconds: 30 days.
pub const LIFETIME_S: u64 = 30 * 86_400;

/// Why a login or a read is refused.
pub(crate) const WRONG_TOKEN: &str = "the token is wrong";

/// What a reader may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Read.
    Read,
    /// Read, and change what is in the quarantine.
    Operate,
}

/// Returns the right that a token gives.
pub(crate) fn right_of(token: &str, settings: &Settings) -> Option<Right> {
    if is_secret(token, &settings.operate_tokens) {
        return Some(Right::Operate);
    }
    is_secret(token, &settings.read_tokens).then_some(Right::Read)
}

/// Returns the right of a request, by its token or its cookie.
pub fn check(fields: &Fields, settings: &Settings, now_ms: u64) -> Result<Right, Box<Problem>> {
    const NO_TOKEN: &str = "the request has no token, and no cookie of a session that lasts";
    let (right, reason) = match header(fields, "authorization").and_then(bearer) {
        Some(token) => (right_of(token, settings), "the read token is wrong"),
        None => (right_of_cookie(fields, settings, now_ms / 1000), NO_TOKEN),
    };
    right.ok_or_else(|| Problem::unauthorized(reason))
}

fn right_of_cookie(fields: &Fields, settings: &Settings, now_s: u64) -> Option<Right> {
    let has_session = |token: &String| {
        let session = cookie(fields, &name(token));
        session.is_some_and(|session| is_valid(session, token, now_s))
    };
    if settings.operate_tokens.iter().any(has_session) {
        return Some(Right::Operate);
    }
    let mut tokens = settings.read_tokens.iter();
    tokens.any(has_session).then_some(Right::Read)
}

/// Returns the value of a cookie. Over HTTP/2 a browser sends a field for each cookie
/// (RFC 9113, 8.2.3).
pub(crate) fn cookie<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    values(fields, "cookie")
        .filter_map(text)
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim_ascii().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// Returns the `Set-Cookie` of a session that a token begins. Without the attribute
/// `Path`, it is valid for the folder of the login, also behind a proxy that serves the
/// receiver below a path.
pub(crate) fn begin(token: &str, now_ms: u64, is_secure: bool) -> String {
    let mut end = String::new();
    push_decimal(&mut end, (now_ms / 1000).saturating_add(LIFETIME_S));
    let mut value = end.clone();
    value.push('.');
    value.push_str(&keyed(token, &end));
    set_cookie(&name(token), &value, LIFETIME_S, is_secure)
}

/// Returns the `Set-Cookie` fields that remove the sessions of a request.
pub(crate) fn end<'a>(
    fields: &'a Fields,
    settings: &'a Settings,
) -> impl Iterator<Item = String> + 'a {
    let tokens = settings.operate_tokens.iter().chain(&settings.read_tokens);
    let names = tokens.map(|token| name(token));
    names
        .filter(|name| cookie(fields, name).is_some())
        .map(|name| set_cookie(&name, "", 0, false))
}

/// Returns a `Set-Cookie`. Links from other sites send the cookie, posts from other
/// sites do not.
pub(crate) fn set_cookie(name: &str, value: &str, lifetime_s: u64, is_secure: bool) -> String {
    let mut cookie = String::from(name);
    cookie.push('=');
    cookie.push_str(value);
    cookie.push_str("; Max-Age=");
    push_decimal(&mut cookie, lifetime_s);
    cookie.push_str("; HttpOnly; SameSite=Lax");
    if is_secure {
        cookie.push_str("; Secure");
    }
    cookie
}

/// Returns the name of the cookie. It depends on the token, so that receivers on one
/// host name do not overwrite each other's cookies.
fn name(token: &str) -> String {
    let mut name = String::from("batchtask_");
    let digest = keyed(token, "cookie");
    name.push_str(digest.get(..8).unwrap_or_default());
    name
}

fn is_valid(session: &str, token: &str, now_s: u64) -> bool {
    let Some((end, digest)) = session.split_once('.') else {
        return false;
    };
    let lasts = number(end, now_s..=u64::MAX).is_some();
    is_secret(digest, &[keyed(token, end)]) && lasts
}

/// Returns a digest of a text that only the owner of the token can make. Hashing twice
/// keeps others from appending to the text.
fn keyed(token: &str, text: &str) -> String {
    let inner = sha256(&[token.as_bytes(), b"\0", text.as_bytes()]);
    hex(&sha256(&[token.as_bytes(), b"\0", &inner]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const READ: &str = "readreadreadread";
    const OPERATE: &str = "operateoperateoperate";
    const NOW_MS: u64 = 1_800_000_000_000;

    fn settings() -> Settings {
        Settings::read(|name| match name {
            "BATCHTASK_READ_TOKEN" => Some(READ.into()),
            "BATCHTASK_OPERATE_TOKEN" => Some(OPERATE.into()),
            _ => None,
        })
        .unwrap()
    }

    fn right(name: &str, value: &str, now_ms: u64) -> Option<Right> {
        let fields = [(String::from(name), Vec::from(value))];
        check(&fields, &settings(), now_ms).ok()
    }

    fn pair(cookie: &str) -> &str {
        cookie.split("; ").next().unwrap()
    }

    #[test]
    fn a_session_has_the_right_of_its_token_until_it_ends() {
        for (token, expected) in [(READ, Right::Read), (OPERATE, Right::Operate)] {
            let cookie = begin(token, NOW_MS, false);
            assert!(!cookie.contains(token), "{cookie}");
            let end_ms = NOW_MS + LIFETIME_S * 1000;
            assert_eq!(right("cookie", pair(&cookie), NOW_MS), Some(expected));
            assert_eq!(right("cookie", pair(&cookie), end_ms), Some(expected));
            assert_eq!(right("cookie", pair(&cookie), end_ms + 1000), None);
            let among_others = ["a=1; ", pair(&cookie), ";b=2"].concat();
            assert_eq!(right("cookie", &among_others, NOW_MS), Some(expected));
            let bearer = ["Bearer ", token].concat();
            assert_eq!(right("authorization", &bearer, NOW_MS), Some(expected));
        }
    }

    #[test]
    fn a_session_cannot_be_changed() {
        let cookie = begin(READ, NOW_MS, false);
        let (name, session) = pair(&cookie).split_once('=').unwrap();
        let (end, digest) = session.split_once('.').unwrap();
        let later = end.parse::<u64>().unwrap() + 1;
        let of_other = begin(OPERATE, NOW_MS, false);
        let (_, other) = pair(&of_other).split_once('=').unwrap();
        for changed in [
            std::format!("{later}.{digest}"),
            std::format!("{end}0.{digest}"),
            std::format!("{end}.{}", digest.to_uppercase()),
            std::format!("{end}."),
            end.into(),
            READ.into(),
            other.into(),
        ] {
            let changed = [name, "=", &changed].concat();
            assert_eq!(right("cookie", &changed, NOW_MS), None, "{changed}");
        }
    }

    #[test]
    fn a_cookie_is_limited_and_removed_by_name() {
        let cookie = begin(READ, NOW_MS, true);
        let attributes = "; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure";
        assert!(cookie.ends_with(attributes), "{cookie}");
        let fields = [(String::from("cookie"), Vec::from(pair(&cookie)))];
        let removed: Vec<_> = end(&fields, &settings()).collect();
        let (name, _) = cookie.split_once('=').unwrap();
        assert_eq!(removed.len(), 1);
        assert!(removed[0].starts_with(&[name, "=; Max-Age=0;"].concat()));
        assert_eq!(end(&[], &settings()).count(), 0);
    }
}
