//! Signatures of pushes, made by another library than the host's.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::{digest, hmac};

/// The three inputs of a signature.
#[derive(Clone, Debug)]
pub(crate) struct Operands {
    pub(crate) token: String,
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
}

/// Returns the time in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_millis() as u64
}

impl Operands {
    /// Returns operands with the current time in seconds and a new nonce.
    pub(crate) fn now(token: &str) -> Self {
        Self::at(token, now_ms() / 1000)
    }

    /// Returns operands with this time, in seconds or milliseconds, and a new nonce.
    pub(crate) fn at(token: &str, timestamp: u64) -> Self {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).expect("random bytes");
        Self {
            token: token.into(),
            timestamp: timestamp.to_string(),
            nonce: hex(&nonce),
        }
    }

    /// Returns the signature that the platform documents: SHA-256 over the three
    /// sorted strings.
    pub(crate) fn signature(&self) -> String {
        let mut operands = [&*self.token, &*self.timestamp, &*self.nonce];
        operands.sort_unstable();
        sha256(&operands.concat())
    }

    /// Returns signatures that the platform does not document, each with its name.
    pub(crate) fn undocumented(&self) -> [(&'static str, String); 4] {
        let (token, timestamp, nonce) = (&*self.token, &*self.timestamp, &*self.nonce);
        let mut sorted = [token, timestamp, nonce];
        sorted.sort_unstable();
        // The reverse of the sorted order.
        let reversed: String = sorted.iter().rev().copied().collect();
        let sorted = sorted.concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, sorted.as_bytes());
        let keyed = hmac::sign(&key, format!("{timestamp}{nonce}").as_bytes());
        [
            ("another order", sha256(&reversed)),
            ("SHA-1", hex(sha1.as_ref())),
            ("HMAC", hex(keyed.as_ref())),
            ("a digit more", self.signature() + "0"),
        ]
    }

    /// Returns the header fields of a push with this signature.
    pub(crate) fn headers<'a>(&'a self, signature: &'a str) -> [(&'static str, &'a str); 4] {
        [
            ("content-type", "application/json"),
            ("timestamp", &self.timestamp),
            ("nonce", &self.nonce),
            ("signature", signature),
        ]
    }
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
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
    let expected = "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38";
    assert_eq!(operands.signature(), expected);
}
