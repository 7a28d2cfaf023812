//! [`TargetUrl`]: compares and shows URLs whose path may be a secret.

use http::Uri;

use crate::secret::MASK;

/// The segment of a receiver's path that a secret may follow.
const NOTIFICATIONS: &str = "notifications";

/// The URL of a receiver, in parts that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetUrl {
    pub(crate) is_https: bool,
    host: String,
    port: u16,
    /// The part of the path that is not secret, without a slash at its end.
    base: String,
    has_more: bool,
}

impl TargetUrl {
    /// Returns `None` if it is not a URL with a host.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.trim().parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let base = base_of(uri.path());
        Some(Self {
            is_https,
            host: authority.host().to_ascii_lowercase(),
            port: authority
                .port_u16()
                .unwrap_or(if is_https { 443 } else { 80 }),
            has_more: uri.path().trim_end_matches('/').len() > base.len() || uri.query().is_some(),
            base: base.to_owned(),
        })
    }

    /// Whether both are the same receiver, perhaps with another secret.
    pub(crate) fn is_same_receiver(&self, other: &Self) -> bool {
        (&self.host, self.port, &self.base) == (&other.host, other.port, &other.base)
    }
}

/// Shows the URL without its secret.
impl std::fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, base, .. } = self;
        let (scheme, port) = if self.is_https {
            ("https", 443)
        } else {
            ("http", 80)
        };
        write!(f, "{scheme}://{host}")?;
        if self.port != port {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{base}")?;
        if self.has_more {
            write!(f, "/{MASK}")?;
        }
        Ok(())
    }
}

/// Shows the URL of an action, which may be anything.
pub(crate) fn shown(text: &str) -> String {
    TargetUrl::parse(text).map_or_else(|| MASK.to_owned(), |url| url.to_string())
}

/// The path as far as the segment `notifications`, or else without its last
/// segment.
fn base_of(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let mut end = 0;
    for segment in path.split_inclusive('/') {
        end += segment.len();
        if segment.trim_end_matches('/') == NOTIFICATIONS {
            return path.get(..end).unwrap_or_default().trim_end_matches('/');
        }
    }
    path.rsplit_once('/').map_or("", |(base, _)| base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> TargetUrl {
        TargetUrl::parse(text).unwrap()
    }

    #[test]
    fn a_secret_is_not_shown() {
        for (text, expected) in [
            (
                "https://H.example.com:443/notifications/sEcReT",
                "https://h.example.com/notifications/…",
            ),
            ("https://h/a/notifications", "https://h/a/notifications"),
            (
                "https://h:8443/notifications?t=sEcReT",
                "https://h:8443/notifications/…",
            ),
            ("http://h/sEcReT/", "http://h/…"),
            ("http://h:80", "http://h"),
            ("ftp://h/sEcReT", "…"),
            ("https://user:pass@h/", "…"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_receiver_is_recognised_without_its_secret() {
        let ours = url("https://h/notifications/new");
        for text in [
            "https://h:443/notifications/old",
            "https://H/notifications",
            "https://h/notifications/?a",
        ] {
            assert!(ours.is_same_receiver(&url(text)), "{text}");
        }
        for text in [
            "https://h/a/notifications/old",
            "https://h:1/notifications/old",
            "https://g/notifications/new",
        ] {
            assert!(!ours.is_same_receiver(&url(text)), "{text}");
        }
    }
}
