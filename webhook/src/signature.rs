//! The Standard Webhooks scheme: <https://www.standardwebhooks.com>.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The beginning of every secret.
const PREFIX: &str = "whsec_";
/// The beginning of a signature of the symmetric scheme.
const VERSION: &str = "v1,";
/// The allowed lengths of a key, in bytes.
const KEY_BYTES: core::ops::RangeInclusive<usize> = 24..=64;

/// A key to sign messages with. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Parses a `whsec_…` secret. Returns `None` if it is malformed.
    pub fn of(secret: &str) -> Option<Self> {
        let key = Base64::decode_vec(secret.strip_prefix(PREFIX)?).ok()?;
        KEY_BYTES.contains(&key.len()).then_some(Self(key))
    }
}

/// Returns the value of `webhook-signature`: a signature for each key, separated
/// by spaces. Returns `None` if there are no keys.
pub fn signatures(keys: &[Key], id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let mut field = String::new();
    for key in keys {
        // This cannot fail: an HMAC accepts keys of any length.
        let mut hmac = Hmac::<Sha256>::new_from_slice(&key.0).ok()?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            hmac.update(part);
        }
        if !field.is_empty() {
            field.push(' ');
        }
        field.push_str(VERSION);
        field.push_str(&Base64::encode_string(&hmac.finalize().into_bytes()));
    }
    (!field.is_empty()).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference implementations.
    #[test]
    fn the_known_signature() {
        let key = Key::of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sign = |keys: &[Key]| {
            let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
            signatures(keys, id, "1614265330", br#"{"test": 2432232314}"#)
        };
        assert_eq!(sign(&[]), None);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(core::slice::from_ref(&key)).unwrap(), expected);
        let again = Key(key.0.clone());
        assert_eq!(sign(&[key, again]).unwrap(), [expected, expected].join(" "));
    }
}
