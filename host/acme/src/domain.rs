//! [`Domain`]: a name in a certificate.

use std::fmt;
use std::str::FromStr;

/// The longest name of a host, in bytes (RFC 1035).
const NAME_MAX: usize = 253;
/// The longest part of a name, in bytes.
const LABEL_MAX: usize = 63;

/// The name of a host, or a wildcard such as `*.example.com`. In lower case, and in ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// Returns the name, with `*.` if it is a wildcard.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all names one level below.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl FromStr for Domain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let host = name.strip_prefix("*.").unwrap_or(&name);
        if host.is_empty() || name.len() > NAME_MAX || !host.split('.').all(is_label) {
            return Err("it is not the name of a host");
        }
        let last = host.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a certificate for an IP address cannot be ordered");
        }
        Ok(Self(name))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(is_valid)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_wildcards_are_domains() {
        for (text, name) in [
            ("receiver.example.com", "receiver.example.com"),
            ("RECEIVER.Example.com.", "receiver.example.com"),
            ("*.example.com", "*.example.com"),
            ("xn--fsqu00a.xn--0zwm56d", "xn--fsqu00a.xn--0zwm56d"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<Domain>().unwrap().as_str(), name);
        }
        let long = format!("{}.example.com", "a".repeat(64));
        for text in [
            "",
            ".",
            "*.",
            "*",
            "a.*.example.com",
            "a b.example.com",
            "a_b.example.com",
            "-a.example.com",
            "a..example.com",
            "https://example.com",
            "example.com:443",
            "192.0.2.1",
            "[::1]",
            "2001:db8::1",
            "bücher.example",
            &long,
        ] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
    }
}
