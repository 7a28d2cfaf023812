//! [`WebhookOptions`], and their checks.

use batchtask_webhook::Key;
use http::{HeaderName, HeaderValue, Uri};

use crate::egress::HttpOptions;
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
    /// The URL of the receiver, and how it is reached.
    pub http: HttpOptions,
    /// The form of the messages.
    pub mode: Mode,
    /// The keys that sign messages. Two while one replaces the other.
    pub keys: Vec<Key>,
    /// More fields of the header, such as `Authorization`. Their values are secret.
    pub headers: Vec<(String, String)>,
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
}

impl Target {
    pub(super) fn new(options: &WebhookOptions, uri: Uri) -> Result<Self, OptionError> {
        let headers = options.headers.iter();
        Ok(Self {
            uri,
            mode: options.mode,
            keys: options.keys.clone(),
            headers: headers
                .map(|(name, value)| field(name, value))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether a text contains the value of a field of the header, or its part after the
    /// scheme.
    pub(super) fn shows_field(&self, text: &str) -> bool {
        let values = self.headers.iter();
        let values = values.filter_map(|(_, value)| value.to_str().ok());
        let secrets = values.flat_map(|value| [Some(value), after_scheme(value)]);
        let mut secrets = secrets.flatten();
        secrets.any(|secret| !secret.is_empty() && text.contains(secret))
    }
}

/// Returns `TOKEN` of `Bearer TOKEN`.
fn after_scheme(value: &str) -> Option<&str> {
    value.split_once(' ').map(|(_, token)| token.trim())
}

pub(crate) fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), OptionError> {
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

    fn target(url: &str, headers: &[(&str, &str)]) -> Result<Target, OptionError> {
        let headers = headers.iter();
        let options = WebhookOptions {
            headers: headers
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            ..WebhookOptions::default()
        };
        Target::new(&options, url.parse().unwrap())
    }

    #[test]
    fn secret_fields_are_recognised() {
        let headers = [("Authorization", "Bearer hush-3"), ("X-Empty", "")];
        let target = target("https://example.com/hooks", &headers).unwrap();
        assert!(target.shows_field("no user has hush-3"));
        assert!(!target.shows_field("no such / hook"));
    }

    #[test]
    fn fields_of_the_header_are_checked_and_not_shown() {
        let url = "https://example.com/";
        assert!(target(url, &[("Authorization", "Bearer hush")]).is_ok());
        for (name, value) in [
            ("a b", "hush"),
            ("Webhook-Id", "hush"),
            ("ce-id", "hush"),
            ("Host", "hush"),
            ("content-type", "hush"),
            ("x", "hush\n"),
        ] {
            let refusal = target(url, &[(name, value)]).err().expect(name);
            let refusal = refusal.to_string();
            assert!(refusal.starts_with("`headers`: "), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }
}
