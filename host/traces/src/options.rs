//! [`Options`], and their checks.

use std::fmt;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};

/// The path of a collector, if the URL has none.
const PATH: &str = "/v1/traces";

/// Fields of the header that are not for the operator.
const RESERVED: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Where traces are exported to, and how many.
#[derive(Clone, Default)]
pub struct Options {
    /// The URL of the collector. Without a path, `/v1/traces` is added.
    pub url: String,
    /// More fields of the header, such as `Authorization`. Their values are secret.
    pub headers: Vec<(String, String)>,
    /// The authorities that the collector's certificate may come from, as PEM. `None`:
    /// those of the system.
    pub authorities: Option<Vec<u8>>,
    /// Which part of the traces that begin here is recorded, from 0 to 1.
    pub sample: f64,
    /// What is known of this process, such as `service.name`.
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for Options {
    /// Shows no header, because it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("sample", &self.sample)
            .finish_non_exhaustive()
    }
}

/// An option that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{field}`: {reason}")]
pub struct OptionError {
    /// The option, a field of [`Options`].
    pub field: &'static str,
    /// What is wrong with it. It does not show the value.
    pub reason: String,
}

impl OptionError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

/// Returns the URL to post to.
pub(crate) fn uri(url: &str) -> Result<Uri, OptionError> {
    let invalid = |reason: &str| OptionError::new("url", reason);
    let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme()) {
        return Err(invalid("it must begin with `https://` or `http://`"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(invalid("it must not have a user name: use `headers`"));
    }
    if uri.query().is_some() || url.contains('#') {
        return Err(invalid("it must not have a query or a fragment"));
    }
    if uri.path() != "/" {
        return Ok(uri);
    }
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(PATH));
    Uri::from_parts(parts).map_err(|_| invalid("it is not a URL"))
}

/// Returns the fields of the header.
pub(crate) fn headers(
    headers: &[(String, String)],
) -> Result<Vec<(HeaderName, HeaderValue)>, OptionError> {
    headers
        .iter()
        .map(|(name, value)| field(name, value))
        .collect()
}

fn field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), OptionError> {
    let invalid = |reason| OptionError::new("headers", format!("`{name}` {reason}"));
    let parsed = HeaderName::try_from(name);
    let parsed = parsed.map_err(|_| invalid("is not the name of a header field"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(invalid("is set by the exporter itself"));
    }
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_| invalid("has a value with a control character"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_that_of_traces() {
        for (url, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://c.example/", "https://c.example/v1/traces"),
            (
                "https://c.example/otlp/v1/traces",
                "https://c.example/otlp/v1/traces",
            ),
        ] {
            assert_eq!(uri(url).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn faults_are_named_and_secrets_are_not_shown() {
        for url in [
            "",
            "hush.example",
            "grpc://hush:4317",
            "https://u:hush@c.example",
            "https://c.example/?key=hush",
            "https://c.example/#hush",
        ] {
            let error = uri(url).unwrap_err().to_string();
            assert!(error.starts_with("`url`: "), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        for (name, value) in [("a b", "hush"), ("Host", "hush"), ("x", "hush\n")] {
            let error = headers(&[(name.into(), value.into())]).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with("`headers`: "), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let options = Options {
            headers: vec![("Authorization".into(), "hush".into())],
            ..Options::default()
        };
        assert!(!format!("{options:?}").contains("hush"));
    }
}
