//! [`Secret`]: a text that is never shown.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Replaces a secret in a text that people read.
pub(crate) const MASK: &str = "…";

/// A shorter text is not masked: it would appear by chance.
const MASKED_BYTES_MIN: usize = 4;

/// A password, a key, or a URL with a secret path. Neither `Debug` nor any error
/// of this crate shows it. It serialises as its text, because requests contain it.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself, which must not be logged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer);
        // The error of a wrong type would show the value.
        let text = text.map_err(|_| de::Error::custom("a secret is not a text"));
        text.map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Replaces each of `secrets` in a text of the platform, which may repeat parts of
/// the request.
pub(crate) fn masked<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut secrets: Vec<&str> = secrets
        .into_iter()
        .filter(|secret| secret.len() >= MASKED_BYTES_MIN)
        .collect();
    // A long secret may contain a short one.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
        .into_iter()
        .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(…)");
        assert_eq!(
            masked("a hush-hush and hush", ["hush", "hush-hush", "a"]),
            "a … and …"
        );
        let error = serde_json::from_str::<Secret>("123456").unwrap_err();
        assert_eq!(error.to_string(), "a secret is not a text");
    }
}
