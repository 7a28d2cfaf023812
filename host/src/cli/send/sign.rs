//! The signature of a push.

use batchtask_guest::sender::{Algorithm, Scheme, Unit};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};

use crate::settings::Settings;

/// Signs as the receiver's settings have it.
pub(super) struct Signer {
    scheme: Scheme,
    token: String,
    /// The operands in the order in which they are joined, or `sorted`.
    order: String,
}

impl Signer {
    /// None when there is no token. Of two tokens, it signs with the first.
    pub(super) fn of(given: &Settings, scheme: Scheme) -> Option<Self> {
        let order = given.get("BATCHTASK_SIGNATURE_ORDER");
        Some(Self {
            token: scheme.tokens.first()?.clone(),
            order: order.unwrap_or("sorted").trim().to_owned(),
            scheme,
        })
    }

    /// The header fields of a request that is sent at `now_ms`.
    pub(super) fn sign(&self, now_ms: u64, nonce: &str) -> HeaderMap {
        let timestamp = match self.scheme.unit {
            Unit::Seconds => now_ms / 1000,
            Unit::Milliseconds => now_ms,
        };
        let timestamp = timestamp.to_string();
        let signature = self.signature(&timestamp, nonce);
        let fields = [
            (&self.scheme.timestamp_header, timestamp.as_str()),
            (&self.scheme.nonce_header, nonce),
            (&self.scheme.signature_header, &signature),
        ];
        let field = |(name, value): (&String, &str)| {
            let name = HeaderName::try_from(name).ok()?;
            Some((name, HeaderValue::try_from(value).ok()?))
        };
        fields.into_iter().filter_map(field).collect()
    }

    fn signature(&self, timestamp: &str, nonce: &str) -> String {
        let mut operands = [
            ("token", self.token.as_str()),
            ("timestamp", timestamp),
            ("nonce", nonce),
        ];
        match self.order.as_str() {
            "sorted" => operands.sort_by_key(|(_, value)| *value),
            order => operands.sort_by_key(|(name, _)| order.find(name)),
        }
        let all = || operands.map(|(_, value)| value).concat();
        match self.scheme.algorithm {
            Algorithm::Sha256 => hex(digest::digest(&digest::SHA256, all().as_bytes())),
            Algorithm::Sha1 => {
                let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
                hex(digest::digest(sha1, all().as_bytes()))
            }
            Algorithm::HmacSha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.token.as_bytes());
                let others = operands.iter().filter(|(name, _)| *name != "token");
                let signed: String = others.map(|(_, value)| *value).collect();
                hex(hmac::sign(&key, signed.as_bytes()))
            }
        }
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::given::checked;

    const NOW_MS: u64 = 1_769_860_800_123;

    /// The signer and the receiver share nothing but the settings.
    #[test]
    fn the_receiver_takes_every_variant() {
        for digest in ["sha256", "sha1", "hmac-sha256"] {
            for order in [
                "sorted",
                "token,timestamp,nonce",
                "token,nonce,timestamp",
                "timestamp,token,nonce",
                "timestamp,nonce,token",
                "nonce,token,timestamp",
                "nonce,timestamp,token",
            ] {
                for unit in ["s", "ms"] {
                    let lines = format!(
                        "BATCHTASK_TOKEN=first1,second2\nBATCHTASK_SIGNATURE=enforce\n\
                         BATCHTASK_SIGNATURE_DIGEST={digest}\nBATCHTASK_SIGNATURE_ORDER= {order}\n\
                         BATCHTASK_TIMESTAMP_UNIT={unit}\nBATCHTASK_SIGNATURE_HEADER=X-Signature\n"
                    );
                    let expected = format!("{digest} {order} {unit}");
                    assert_eq!(finding(&lines).as_deref(), Ok(expected.as_str()));
                }
            }
        }
    }

    /// What the receiver says about a request that was signed by these
    /// settings.
    fn finding(lines: &str) -> Result<String, String> {
        let given = Settings::parse(lines).unwrap();
        let scheme = checked(&given).unwrap().scheme;
        let signer = Signer::of(&given, scheme.clone()).unwrap();
        let headers = signer.sign(NOW_MS, "a-nonce");
        assert_eq!(headers.len(), 3);
        let field = |name: &String| {
            let value = headers[name.as_str()].as_bytes().to_vec();
            (name.clone(), value)
        };
        let headers = [
            &scheme.timestamp_header,
            &scheme.nonce_header,
            &scheme.signature_header,
        ]
        .map(field);
        match scheme.check(&headers, NOW_MS) {
            Ok(checked) => Ok(checked.finding.unwrap_or_default()),
            Err(problem) => Err(problem.operator.unwrap_or_default()),
        }
    }

    #[test]
    fn without_a_token_nothing_is_signed() {
        let given = Settings::default();
        let scheme = checked(&given).unwrap().scheme;
        assert!(Signer::of(&given, scheme).is_none());
    }
}
