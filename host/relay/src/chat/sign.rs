//! The signatures of messages: HMAC-SHA256 as base64, in two ways.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batchtask_guest::percent;
use http::Uri;
use ring::hmac::{HMAC_SHA256, Key, sign};

fn hmac(key: &str, text: &str) -> String {
    let key = Key::new(HMAC_SHA256, key.as_bytes());
    STANDARD.encode(sign(&key, text.as_bytes()))
}

/// Returns the signature of Feishu and Lark for this time: the text is the key, and nothing
/// is signed with it.
pub(super) fn of_seconds(secret: &str, now_s: u64) -> String {
    hmac(&format!("{now_s}\n{secret}"), "")
}

/// Returns the URL of a message to DingTalk, with the time in milliseconds and the
/// signature.
pub(super) fn in_query(uri: &Uri, secret: &str, now_s: u64) -> Uri {
    let ms = now_s.saturating_mul(1000);
    let signature = hmac(secret, &format!("{ms}\n{secret}"));
    let signature = percent::encode(&signature, percent::UNRESERVED);
    let sign = if uri.query().is_some() { '&' } else { '?' };
    let signed = format!("{uri}{sign}timestamp={ms}&sign={signature}");
    // What is added needs no more encoding.
    signed.parse().unwrap_or_else(|_| uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac` as the documentation of both services shows.
    #[test]
    fn the_signatures_are_those_of_the_documentation() {
        let secret = "SEC0123456789abcdef";
        assert_eq!(of_seconds(secret, 1_599_360_473), FEISHU);
        let uri = Uri::from_static("https://oapi.dingtalk.com/robot/send?access_token=a");
        let signed = in_query(&uri, secret, 1_599_360_473).to_string();
        let expected = format!("{uri}&timestamp=1599360473000&sign={DINGTALK}");
        assert_eq!(signed, expected);
        let plain = Uri::from_static("http://127.0.0.1:1/send");
        let signed = in_query(&plain, secret, 1).to_string();
        assert!(signed.starts_with("http://127.0.0.1:1/send?timestamp=1000&sign="));
    }

    const FEISHU: &str = "o4rYuzS+vyYu0ScPJVg0TrKMaVksgOXu1MYbxvtUINE=";
    const DINGTALK: &str = "aKqBjoyC%2BNYhkgqBYxW0ACXynJFx9Q2eLA%2BQ9FLxhBY%3D";
}
