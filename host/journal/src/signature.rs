//! [`SignatureStatus`]: whether a signature may be used. A signature does not
//! cover the body, so it is remembered together with the digest of its
//! notification.

use crate::SignatureUse;

/// The status of a signature: whether the journal remembers it, and with which
/// digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureStatus {
    /// The signature is unknown or has expired. The entry and the signature are
    /// stored.
    Fresh,
    /// The signature is known, with the same digest. This is not a replay: an
    /// event is a duplicate, because its digest is known; a reject is answered
    /// `duplicate`, and not stored again. The later expiry is kept.
    Repeated,
    /// The signature is known, with another digest. Nothing is stored.
    Replayed,
}

impl SignatureStatus {
    /// Returns the status of `signature`, which the journal remembers with
    /// `digest` until `expires_at_ms`. `now_ms` is the arrival of the entry. Times
    /// are in milliseconds since 1970.
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
