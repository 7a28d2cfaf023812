//! The Standard Webhooks scheme: <https://www.standardwebhooks.com>.

use alloc::string::String;
use alloc::vec::Vec;
use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// What a signature of the symmetric scheme begins with.
const VERSION: &str = "v1,";
/// How long a key may be, in bytes.
const KEY_BYTES: core::ops::RangeInclusive<usize> = 24..=64;

/// What messages are signed with. It is never shown.
#[derive(PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Of a secret; none when it is none.
    pub fn of(secret: &str) -> Option<Self> {
        let key = Base64::decode_vec(secret.strip_prefix(PREFIX)?).ok()?;
        KEY_BYTES.contains(&key.len()).then_some(Self(key))
    }
}

/// The field `webhook-signature`: a signature by each key, with blanks between;
/// none without a key.
pub fn signatures(keys: &[Key], id: &str, timestamp: &str, body: &[u8]) -> Option<String> {
    let mut field = String::new();
    for key in keys {
        // An HMAC takes a key of any length.
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
