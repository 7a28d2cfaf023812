//! Whether a signature may be used. A signature does not cover the body, so it
//! is remembered together with the digest of its notification.

use crate::SignatureUse;

/// What a journal remembers of a signature, compared with another use of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureStatus {
    /// The signature is unknown or has expired. The entry is stored, and the
    /// signature with it.
    Fresh,
    /// The signature is known, and came with the same digest. It is no replay:
    /// an event is then a duplicate, because its digest is known; a reject is
    /// answered `duplicate`, and not stored again. The later expiry is kept.
    Repeated,
    /// The signature is known, and came with another digest. Nothing is
    /// stored.
    Replayed,
}

impl SignatureStatus {
    /// The status of a signature that the journal remembers with `digest` until
    /// `expires_at_ms`, if it comes as `signature` at `now_ms`: the arrival of
    /// the entry. All times are in milliseconds since 1970.
    pub fn of(digest: &[u8], expires_at_ms: u64, signature: &SignatureUse, now_ms: u64) -> Self {
        if expires_at_ms <= now_ms {
            Self::Fresh
        } else if digest == signature.digest {
            Self::Repeated
        } else {
            Self::Replayed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpired_signature_admits_only_its_own_digest() {
        let signature = SignatureUse {
            signature: String::new(),
            digest: vec![1],
            expires_at_ms: 100,
        };
        for (digest, expires_at_ms, status) in [
            (1, 11, SignatureStatus::Repeated),
            (2, 11, SignatureStatus::Replayed),
            (1, 10, SignatureStatus::Fresh),
            (2, 10, SignatureStatus::Fresh),
        ] {
            let found = SignatureStatus::of(&[digest], expires_at_ms, &signature, 10);
            assert_eq!(found, status, "{digest} {expires_at_ms}");
        }
    }
}
