//! The signatures of pushes, made by another library than the host's.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

/// The three operands of a signature.
#[derive(Clone, Debug)]
pub(crate) struct Operands {
    pub(crate) token: String,
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
}

/// How they are joined: a setting's value.
pub(crate) const ORDERS: [&str; 7] = [
    "sorted",
    "token,timestamp,nonce",
    "token,nonce,timestamp",
    "timestamp,token,nonce",
    "timestamp,nonce,token",
    "nonce,token,timestamp",
    "nonce,timestamp,token",
];

/// What they are put through: a setting's value.
pub(crate) const DIGESTS: [&str; 3] = ["sha256", "sha1", "hmac-sha256"];

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_millis() as u64
}

impl Operands {
    /// Signed now, in seconds, with a nonce that was never used before.
    pub(crate) fn now(token: &str) -> Self {
        Self::at(token, now_ms() / 1000)
    }

    /// Signed at this time, in whatever unit.
    pub(crate) fn at(token: &str, timestamp: u64) -> Self {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).expect("random bytes");
        Self {
            token: token.into(),
            timestamp: timestamp.to_string(),
            nonce: hex(&nonce),
        }
    }

    /// What is signed. An HMAC is keyed by the token, and without it.
    pub(crate) fn message(&self, digest: &str, order: &str) -> String {
        let mut operands = [
            ("token", &self.token),
            ("timestamp", &self.timestamp),
            ("nonce", &self.nonce),
        ];
        if order == "sorted" {
            operands.sort_by_key(|operand| operand.1);
        } else {
            operands.sort_by_key(|operand| order.find(operand.0));
        }
        let signed = operands
            .iter()
            .filter(|operand| digest != "hmac-sha256" || operand.0 != "token");
        signed.map(|operand| operand.1.as_str()).collect()
    }

    pub(crate) fn signature(&self, digest: &str, order: &str) -> String {
        let message = self.message(digest, order);
        let bytes = message.as_bytes();
        match digest {
            "sha256" => hex(digest::digest(&digest::SHA256, bytes).as_ref()),
            "sha1" => hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()),
            _ => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.token.as_bytes());
                hex(hmac::sign(&key, bytes).as_ref())
            }
        }
    }

    /// The header fields of a push with this signature, under their default
    /// names.
    pub(crate) fn headers<'a>(&'a self, signature: &'a str) -> [(&'static str, &'a str); 4] {
        [
            ("content-type", "application/json"),
            ("timestamp", &self.timestamp),
            ("nonce", &self.nonce),
            ("signature", signature),
        ]
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_known_triple() {
    let operands = Operands {
        token: "aaa".into(),
        timestamp: "1604458421".into(),
        nonce: "IkOaKMDalrAzUTxC".into(),
    };
    for (digest, signature) in [
        (
            "sha256",
            "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38",
        ),
        ("sha1", "c259ed29ec13ba7c649fe0893007401a36e70453"),
    ] {
        assert_eq!(operands.signature(digest, "sorted"), signature);
    }
}
