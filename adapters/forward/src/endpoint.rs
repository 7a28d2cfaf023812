//! The settings of the adapter: the URL to post to, and the keys to sign with. The
//! header fields of a post.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use batchtask_webhook::message::{MEDIA_TYPE, Message};
use batchtask_webhook::signature::{Key, signatures};

/// Why this receiver cannot be read.
pub const UNREADABLE: &str =
    "this receiver forwards events and does not store them, so it cannot be read";

/// The time limit of a whole post, in nanoseconds: 8 s. The platform waits 15 s, and must
/// receive the 503 before that.
pub const LIMIT_NS: u64 = 8_000_000_000;

/// The error of a post that took longer.
pub const TOO_SLOW: &str = "the endpoint did not answer within 8 s";

/// Returns the value of an environment variable. An empty variable counts as unset.
pub fn value(variables: &[(String, String)], name: &str) -> Option<String> {
    let (_, value) = variables.iter().find(|(found, _)| found == name)?;
    (!value.is_empty()).then(|| value.clone())
}

/// The name of the setting for the URL.
pub const URL: &str = "BATCHTASK_FORWARD_URL";
/// The name of the setting for the secret.
pub const SECRET: &str = "BATCHTASK_FORWARD_SECRET";

/// The endpoint to which messages are posted.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// True for `https`, false for `http`.
    pub is_tls: bool,
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// The keys with which messages are signed: none, one, or two while one
    /// replaces the other.
    pub keys: Vec<Key>,
}

impl Endpoint {
    /// Reads the settings. The error names the invalid setting, and shows no
    /// secret.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, &'static str> {
        let url = look_up(URL).unwrap_or_default();
        let invalid_url =
            "`BATCHTASK_FORWARD_URL` must be an `http` or `https` URL without a user name";
        let (is_tls, authority, target) = split(url.trim_ascii()).ok_or(invalid_url)?;
        let secrets = look_up(SECRET).unwrap_or_default();
        Ok(Self {
            is_tls,
            authority: authority.into(),
            target,
            keys: keys(secrets.trim_ascii()).ok_or(
                "`BATCHTASK_FORWARD_SECRET` must be `whsec_` and 24 to 64 bytes as base64, \
                 or two of these separated by a comma",
            )?,
        })
    }

    /// Returns the header fields of the request that posts a message.
    pub fn fields(&self, message: &Message) -> Vec<(String, Vec<u8>)> {
        let timestamp = message.timestamp_s.to_string();
        let signatures = signatures(&self.keys, &message.id, &timestamp, &message.body);
        let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
        let mut field = |name: &str, value: &str| fields.push((name.into(), value.into()));
        field("content-type", MEDIA_TYPE);
        // Without a length hosts send chunks.
        field("content-length", &message.body.len().to_string());
        field("webhook-id", &message.id);
        field("webhook-timestamp", &timestamp);
        if let Some(signatures) = signatures {
            field("webhook-signature", &signatures);
        }
        fields
    }
}

/// Splits a URL into scheme, authority, and path with query.
fn split(url: &str) -> Option<(bool, &str, String)> {
    let (is_tls, rest) = match url.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    // A fragment is not sent.
    let rest = rest.split('#').next()?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(end)?;
    let is_visible = rest.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || authority.contains('@') || !is_visible {
        return None;
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut path = String::from(slash);
    path.push_str(target);
    Some((is_tls, authority, path))
}

fn keys(secrets: &str) -> Option<Vec<Key>> {
    match secrets {
        "" => Some(Vec::new()),
        _ => secrets
            .split(',')
            .map(|secret| Key::of(secret.trim_ascii()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn read(url: &str, secret: &str) -> Result<Endpoint, &'static str> {
        let values = [(URL, url), (SECRET, secret)];
        Endpoint::read(|name| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn a_url_has_three_parts() {
        for (url, is_tls, authority, target) in [
            ("http://localhost:9/in", false, "localhost:9", "/in"),
            ("https://example.com", true, "example.com", "/"),
            ("https://example.com?a=b", true, "example.com", "/?a=b"),
            ("https://[::1]:8443/a/b?c#d", true, "[::1]:8443", "/a/b?c"),
        ] {
            let endpoint = read(url, "").unwrap();
            assert_eq!(endpoint.is_tls, is_tls, "{url}");
            assert_eq!(endpoint.authority, authority, "{url}");
            assert_eq!(endpoint.target, target, "{url}");
            assert!(endpoint.keys.is_empty());
        }
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for url in [
            "",
            "example.com",
            "ftp://a/",
            "http://",
            "http:///a",
            "http://u:p@a/",
            "http://a /",
        ] {
            assert!(read(url, "").unwrap_err().contains(URL), "{url}");
        }
    }

    #[test]
    fn one_secret_or_two() {
        assert_eq!(read("http://a", GOOD).unwrap().keys.len(), 1);
        let two = [GOOD, ", ", GOOD].concat();
        assert_eq!(read("http://a", &two).unwrap().keys.len(), 2);
        for secret in [
            "whsec_c2hvcnQ=",
            "hush hush",
            "a,b",
            GOOD.trim_start_matches("whsec_"),
        ] {
            let error = read("http://a", secret).unwrap_err();
            assert!(
                error.contains(SECRET) && !error.contains(secret),
                "{secret}"
            );
        }
    }
}
