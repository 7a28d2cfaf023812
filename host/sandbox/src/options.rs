//! [`Options`]: what a component is, and what it may do.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

/// The options of a sandbox.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Options {
    /// The name of the sink, for the log.
    pub name: String,
    /// The component, as a wasm binary.
    pub wasm: Vec<u8>,
    /// The settings that the component can read.
    pub settings: Vec<(String, String)>,
    /// Where it may send requests. Empty: nowhere.
    pub origins: Vec<Origin>,
    /// The memory of an instance, in bytes.
    pub memory_bytes: usize,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// The folder for the cache of compiled code, or `None` for no cache.
    pub cache_dir: Option<PathBuf>,
}

/// A scheme, a host and a port: where requests may be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    scheme: Scheme,
    /// In lower case.
    host: String,
    port: u16,
}

/// Why a text is not an [`Origin`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an origin such as `https://hooks.example.com`")]
pub struct OriginError(String);

impl Origin {
    /// Parses an origin, such as `https://hooks.example.com` or `http://10.0.0.1:8080`.
    ///
    /// # Errors
    /// The text is not an origin: it has another scheme, a path, or a user.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let invalid = || OriginError(text.to_owned());
        let (scheme, authority) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::HTTPS,
            "http" => Scheme::HTTP,
            _ => return Err(invalid()),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let authority: Authority = authority.parse().map_err(|_| invalid())?;
        Self::new(&scheme, &authority).ok_or_else(invalid)
    }

    /// Returns the origin of a URL, or `None` if it has none, or has a user.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        Self::new(uri.scheme()?, uri.authority()?)
    }

    fn new(scheme: &Scheme, authority: &Authority) -> Option<Self> {
        let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        // Without a user, the port is what follows the host.
        let rest = authority.as_str().strip_prefix(authority.host())?;
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if rest.is_empty() => default,
            None => return None,
        };
        let is_host = !authority.host().is_empty();
        is_host.then(|| Self {
            scheme: scheme.clone(),
            host: authority.host().to_ascii_lowercase(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, uri) in [
            ("https://a.example", "https://A.example:443/hook?x"),
            ("https://a.example/", "https://a.example/"),
            ("HTTP://[::1]:8080", "http://[::1]:8080/"),
            ("http://a.example", "http://a.example:80/"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(Origin::of(&uri.parse().unwrap()), Some(origin), "{text}");
        }
        let origin = Origin::parse("https://a.example").unwrap();
        for uri in [
            "http://a.example/",
            "https://a.example:8443/",
            "https://b.a.example/",
            "https://a.example.b/",
            "https://a.example@b.example/",
            "https://user@a.example/",
            "/hook",
        ] {
            assert_ne!(
                Origin::of(&uri.parse().unwrap()),
                Some(origin.clone()),
                "{uri}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https://a.example/hook",
            "https://user@a.example",
            "https://*.example /",
            "https://a.example:x",
            "https://a.example:99999",
        ] {
            let error = Origin::parse(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
