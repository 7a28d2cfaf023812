//! [`Sealer`]: encrypts what hosts share, because it contains private keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::Error;

/// What the key is for: another use of the same secret gets another key.
const CONTEXT: &[u8] = b"batchtask acme 1";

/// Closes texts with the first secret, and opens those of all.
pub(crate) struct Sealer(Vec<LessSafeKey>);

impl Sealer {
    /// `secrets` is not empty.
    pub(crate) fn new(secrets: &[String]) -> Result<Self, Error> {
        let keys = secrets.iter().map(|secret| key(secret));
        let keys = keys.collect::<Result<Vec<_>, _>>();
        keys.map(Self).map_err(|_| failed("derive a key"))
    }

    /// Returns the text, encrypted and authenticated.
    pub(crate) fn close(&self, text: &str) -> Result<String, Error> {
        let fail = |_| failed("encrypt");
        let key = self.0.first().ok_or_else(|| failed("encrypt"))?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(fail)?;
        let mut bytes = text.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, Aad::from(CONTEXT), &mut bytes)
            .map_err(fail)?;
        Ok(STANDARD.encode([&nonce[..], &bytes].concat()))
    }

    /// Returns the text.
    ///
    /// # Errors
    /// None of the secrets opens it.
    pub(crate) fn open(&self, sealed: &str) -> Result<String, Error> {
        let unreadable = || {
            Error::Shared("it was encrypted with another secret: set the same `acme.share_secret` on all hosts".into())
        };
        let bytes = STANDARD.decode(sealed).map_err(|_| unreadable())?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN).ok_or_else(unreadable)?;
        let open = |key: &LessSafeKey| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut rest = rest.to_vec();
            let text = key
                .open_in_place(nonce, Aad::from(CONTEXT), &mut rest)
                .ok()?;
            String::from_utf8(text.to_vec()).ok()
        };
        self.0.iter().find_map(open).ok_or_else(unreadable)
    }
}

fn key(secret: &str) -> Result<LessSafeKey, ring::error::Unspecified> {
    let salt = Salt::new(HKDF_SHA256, CONTEXT);
    let secret = salt.extract(secret.as_bytes());
    let info = [CONTEXT];
    let key: UnboundKey = secret.expand(&info, &AES_256_GCM)?.into();
    Ok(LessSafeKey::new(key))
}

fn failed(step: &str) -> Error {
    Error::Shared(format!("cannot {step}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(secrets: &[&str]) -> Sealer {
        let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
        Sealer::new(&secrets).unwrap()
    }

    #[test]
    fn only_the_same_secret_opens_a_text() {
        let old = sealer(&["old"]);
        let sealed = old.close("a key").unwrap();
        assert_ne!(sealed, old.close("a key").unwrap());
        assert_eq!(old.open(&sealed).unwrap(), "a key");
        assert_eq!(sealer(&["new", "old"]).open(&sealed).unwrap(), "a key");
        let error = sealer(&["new"]).open(&sealed).unwrap_err().to_string();
        assert!(error.contains("another secret"), "{error}");
        let mut changed = STANDARD.decode(&sealed).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        for text in ["", "AAAA", "no base64!", &STANDARD.encode(changed)] {
            assert!(old.open(text).is_err(), "{text}");
        }
    }
}
