//! Signs pushes.

use batchtask_notification::hex;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};

/// Signs pushes as the platform does.
pub(super) struct Signer {
    token: String,
}

impl Signer {
    /// Creates a signer with the first of these tokens, or `None` without a token.
    pub(super) fn of(tokens: &[String]) -> Option<Self> {
        let token = tokens.first()?.clone();
        Some(Self { token })
    }

    /// Returns the header fields for a request at `now_ms`.
    pub(super) fn sign(&self, now_ms: u64, nonce: &str) -> HeaderMap {
        let timestamp = (now_ms / 1000).to_string();
        let signature = self.signature(&timestamp, nonce);
        let fields = [
            ("timestamp", timestamp.as_str()),
            ("nonce", nonce),
            ("signature", &signature),
        ];
        let field = |(name, value): (&'static str, &str)| {
            let value = HeaderValue::try_from(value).ok()?;
            Some((HeaderName::from_static(name), value))
        };
        fields.into_iter().filter_map(field).collect()
    }

    fn signature(&self, timestamp: &str, nonce: &str) -> String {
        let mut operands = [self.token.as_str(), timestamp, nonce];
        operands.sort_unstable();
        hex(digest(&SHA256, operands.concat().as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batchtask_guest::signature::{Finding, Mode, Scheme};

    const NOW_MS: u64 = 1_769_860_800_123;

    /// The signer and the receiver do not share code for the signature.
    #[test]
    fn the_receiver_accepts_signatures_with_its_first_token() {
        let scheme = Scheme {
            mode: Mode::Enforce,
            tokens: vec!["first1".into(), "second2".into()],
            window_ms: 1000,
        };
        let signer = Signer::of(&scheme.tokens).unwrap();
        let headers = signer.sign(NOW_MS, "a-nonce");
        let fields: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        assert_eq!(fields.len(), 3);
        let checked = scheme.check(&fields, NOW_MS).unwrap();
        assert_eq!(checked.finding, Finding::ValidSeconds);
    }

    #[test]
    fn without_a_token_nothing_is_signed() {
        assert!(Signer::of(&[]).is_none());
    }
}
