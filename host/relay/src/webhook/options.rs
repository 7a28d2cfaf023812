//! [`WebhookOptions`], and their checks.

use std::net::IpAddr;
use std::time::Duration;

use batchtask_webhook::Key;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Uri};

use crate::egress::{Addresses, TlsOptions};
use crate::error::OptionError;

/// Beginnings of names of header fields that are not for the operator.
const RESERVED: [&str; 8] = [
    "ce-",
    "connection",
    "content-",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "webhook-",
];

/// The options of a webhook.
#[derive(Default, Eq, PartialEq)]
pub struct WebhookOptions {
    /// The URL of the receiver, which may contain a secret.
    pub url: String,
    /// The form of the messages.
    pub mode: Mode,
    /// The keys that sign messages. Two while one replaces the other.
    pub keys: Vec<Key>,
    /// More fields of the header, such as `Authorization`. Their values are secret.
    pub headers: Vec<(String, String)>,
    /// Authorities and client certificate.
    pub tls: TlsOptions,
    /// How long a request may take, from connecting to the end of the answer.
    pub timeout: Duration,
    /// Whether the URL may lead to a link-local address, or to that of a metadata
    /// service.
    pub allow_link_local: bool,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// The body is a CloudEvents object with all that is known of the event.
    #[default]
    Structured,
    /// The body is the notification, byte for byte. The attributes of CloudEvents are
    /// fields of the header.
    Binary,
}

/// Checked options.
pub(super) struct Target {
    pub(super) uri: Uri,
    pub(super) mode: Mode,
    pub(super) keys: Vec<Key>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) timeout: Duration,
}

impl Target {
    pub(super) fn new(options: &WebhookOptions, addresses: Addresses) -> Result<Self, OptionError> {
        let uri = uri(&options.url)?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        if let Some(reason) = address.and_then(|address| addresses.refusal(address)) {
            let reason = format!("the address is not allowed: {reason}");
            return Err(OptionError::new("url", reason));
        }
        let headers = options.headers.iter();
        Ok(Self {
            uri,
            mode: options.mode,
            keys: options.keys.clone(),
            headers: headers
                .map(|(name, value)| field(name, value))
                .collect::<Result<_, _>>()?,
            timeout: options.timeout,
        })
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether a text contains something that may be secret: the path or the query of the
    /// URL, the value of a field of the header, or its part after the scheme.
    pub(super) fn shows_secret(&self, text: &str) -> bool {
        let values = self.headers.iter();
        let values = values.filter_map(|(_, value)| value.to_str().ok());
        let parts = values.flat_map(|value| [Some(value), after_scheme(value)]);
        let path = Some(self.uri.path()).filter(|path| *path != "/");
        let mut secrets = parts.chain([path, self.uri.query()]).flatten();
        secrets.any(|secret| !secret.is_empty() && text.contains(secret))
    }
}

/// Returns `TOKEN` of `Bearer TOKEN`.
fn after_scheme(value: &str) -> Option<&str> {
    value.split_once(' ').map(|(_, token)| token.trim())
}

/// Parses a URL. The error does not show it.
fn uri(url: &str) -> Result<Uri, OptionError> {
    let invalid = |reason: &str| OptionError::new("url", reason);
    let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
    let is_http = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    if !is_http {
        return Err(invalid("it must begin with `https://` or `http://`"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        let reason = "it must not have a user name: write a header field `Authorization`";
        return Err(invalid(reason));
    }
    if url.contains('#') {
        return Err(invalid("it must not have a fragment (`#…`)"));
    }
    Ok(uri)
}

fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), OptionError> {
    let invalid = |reason: &str| OptionError::new("headers", format!("`{name}` {reason}"));
    let parsed = HeaderName::try_from(name);
    let parsed = parsed.map_err(|_| invalid("is not the name of a header field"))?;
    let is_reserved = |start: &str| match start.strip_suffix('-') {
        Some(_) => parsed.as_str().starts_with(start),
        None => parsed.as_str() == start,
    };
    if RESERVED.iter().any(|start| is_reserved(start)) {
        return Err(invalid("is set by the sink itself"));
    }
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_| invalid("has a value with a control character"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, headers: &[(&str, &str)]) -> Option<String> {
        let headers = headers.iter();
        let options = WebhookOptions {
            url: url.into(),
            headers: headers
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            ..WebhookOptions::default()
        };
        let target = Target::new(&options, Addresses::default());
        target.err().map(|error| error.to_string())
    }

    #[test]
    fn what_may_be_secret_is_recognised() {
        let options = WebhookOptions {
            url: "https://example.com/hooks/hush-1?key=hush-2".into(),
            headers: vec![
                ("Authorization".into(), "Bearer hush-3".into()),
                ("X-Empty".into(), String::new()),
            ],
            ..WebhookOptions::default()
        };
        let target = Target::new(&options, Addresses::default()).unwrap();
        for text in [
            "Cannot POST /hooks/hush-1",
            "unknown key=hush-2",
            "no user has hush-3",
        ] {
            assert!(target.shows_secret(text), "{text}");
        }
        assert!(!target.shows_secret("no such / hook"));
    }

    #[test]
    fn urls_are_checked_and_not_shown() {
        for url in [
            "https://example.com/hook?a=b",
            "http://[::1]:80",
            "http://10.0.0.1/",
        ] {
            assert_eq!(refusal(url, &[]), None, "{url}");
        }
        for url in [
            "",
            "hush.example.com",
            "ftp://hush/",
            "https://u:hush@example.com/",
            "https://example.com/#hush",
            "http://169.254.169.254/hush",
            "http://[::ffff:a9fe:a9fe]/hush",
            "http://0.0.0.0/hush",
            "https://a b/hush",
        ] {
            let refusal = refusal(url, &[]).expect(url);
            assert!(refusal.starts_with("`url`: "), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }

    #[test]
    fn fields_of_the_header_are_checked_and_not_shown() {
        let url = "https://example.com/";
        assert_eq!(refusal(url, &[("Authorization", "Bearer hush")]), None);
        for (name, value) in [
            ("a b", "hush"),
            ("Webhook-Id", "hush"),
            ("ce-id", "hush"),
            ("Host", "hush"),
            ("content-type", "hush"),
            ("x", "hush\n"),
        ] {
            let refusal = refusal(url, &[(name, value)]).expect(name);
            assert!(refusal.starts_with("`headers`: "), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }
}
