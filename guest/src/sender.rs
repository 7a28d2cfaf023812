//! Was this sent by the platform?
//!
//! The platform signs a push with a token, but documents no algorithm. The
//! default here is the scheme that is common among its kin: the hexadecimal
//! SHA-256 of token, timestamp and nonce, sorted as text and joined. Every
//! part of it is a setting, and [`Mode::Report`] finds the right one from the
//! first genuine push without refusing it.
//!
//! The signature does not cover the body: it proves the sender, and with the
//! timestamp's window and the remembered nonce, that this is no replay.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::journal::Nonce;
use crate::outcomes::{Problem, Refusal};
use crate::receiver::header;

/// The longest nonce, in bytes.
const NONCE_BYTES_MAX: usize = 256;

/// What is done about signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are not looked at.
    #[default]
    Off,
    /// Every known variant is tried and the one that matches is reported; no
    /// request is refused.
    Report,
    /// A request whose signature does not match is refused.
    Enforce,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256 of the three operands.
    #[default]
    Sha256,
    /// SHA-1 of the three operands.
    Sha1,
    /// HMAC-SHA-256, keyed by the token, of the other two operands.
    HmacSha256,
}

impl Algorithm {
    const ALL: &[Self] = &[Self::Sha256, Self::Sha1, Self::HmacSha256];

    /// The name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    /// The algorithm of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }
}

/// In which order the operands are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order(&'static str);

impl Order {
    /// As text, the least first; then every fixed order.
    const ALL: &[Self] = &[
        Self("sorted"),
        Self("token,timestamp,nonce"),
        Self("token,nonce,timestamp"),
        Self("timestamp,token,nonce"),
        Self("timestamp,nonce,token"),
        Self("nonce,token,timestamp"),
        Self("nonce,timestamp,token"),
    ];

    /// The order of a name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.0 == name)
    }

    /// The operands in this order.
    fn arrange<'a>(self, operands: &Operands<'a>) -> Vec<Named<'a>> {
        let token = ("token", operands.token);
        let timestamp = ("timestamp", operands.timestamp);
        let nonce = ("nonce", operands.nonce);
        if self.0 == "sorted" {
            // By hand: the code of a general sort is 4 kB.
            let (least, greater) = ascending(token, timestamp);
            let (middle, greatest) = ascending(greater, nonce);
            let (least, middle) = ascending(least, middle);
            return Vec::from([least, middle, greatest]);
        }
        let operand = |name| match name {
            "token" => token,
            "timestamp" => timestamp,
            _ => nonce,
        };
        self.0.split(',').map(operand).collect()
    }
}

/// An operand, and what it is.
type Named<'a> = (&'static str, &'a str);

/// The one with the lesser text, then the other.
fn ascending<'a>(one: Named<'a>, other: Named<'a>) -> (Named<'a>, Named<'a>) {
    if one.1 <= other.1 {
        (one, other)
    } else {
        (other, one)
    }
}

/// The unit of the timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// How senders are checked.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// What is done about signatures.
    pub mode: Mode,
    /// The tokens that are valid now: none, one, or two while one replaces the
    /// other.
    pub tokens: Vec<String>,
    /// How a signature is made.
    pub algorithm: Algorithm,
    /// In which order its operands are joined.
    pub order: Order,
    /// The header field of the signature.
    pub signature_header: String,
    /// The header field of the timestamp.
    pub timestamp_header: String,
    /// The header field of the nonce.
    pub nonce_header: String,
    /// The unit of the timestamp.
    pub unit: Unit,
    /// How far the timestamp may be from now, either way, in milliseconds.
    pub window_ms: u64,
}

/// What the check of a signature came to.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// It matched.
    pub proven: bool,
    /// What to remember against a replay.
    pub nonce: Option<Nonce>,
    /// The variant that matched, or what was wrong; none when not looked at.
    pub finding: Option<String>,
}

struct Operands<'a> {
    token: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
}

/// The three header fields of a signed request.
struct Signed<'a> {
    signature: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
}

impl Scheme {
    /// Checks the signature of a request that arrived at `now_ms`.
    pub fn check(
        &self,
        headers: &[(String, Vec<u8>)],
        now_ms: u64,
    ) -> Result<Checked, Box<Problem>> {
        match self.mode {
            Mode::Off => Ok(Checked::default()),
            Mode::Report => Ok(self.report(headers, now_ms)),
            Mode::Enforce => self.enforce(headers, now_ms).map_err(unauthorized),
        }
    }

    fn signed<'a>(&self, headers: &'a [(String, Vec<u8>)]) -> Result<Signed<'a>, &'static str> {
        let signed = Signed {
            signature: header(headers, &self.signature_header).ok_or("no signature")?,
            timestamp: header(headers, &self.timestamp_header).ok_or("no timestamp")?,
            nonce: header(headers, &self.nonce_header).ok_or("no nonce")?,
        };
        match signed.nonce.len() {
            0 => Err("an empty nonce"),
            length if length > NONCE_BYTES_MAX => Err("a nonce of more than 256 bytes"),
            _ => Ok(signed),
        }
    }

    fn enforce(&self, headers: &[(String, Vec<u8>)], now_ms: u64) -> Result<Checked, &'static str> {
        let signed = self.signed(headers)?;
        // Every token is tried: how long it takes does not tell which matched.
        let matching = self.tokens.iter().fold(false, |found, token| {
            found | matches(&signed, token, self.algorithm, self.order)
        });
        if !matching {
            return Err("the signature does not match");
        }
        self.in_window(&signed, self.unit, now_ms)
            .then_some(Checked {
                proven: true,
                nonce: Some(Nonce {
                    value: signed.nonce.into(),
                    // Once its timestamp is out of the window, a replay is
                    // refused for that.
                    expires_at_ms: now_ms.saturating_add(self.window_ms.saturating_mul(2)),
                }),
                finding: Some(variant(self.algorithm, self.order, self.unit)),
            })
            .ok_or("the timestamp is outside the window")
    }

    fn report(&self, headers: &[(String, Vec<u8>)], now_ms: u64) -> Checked {
        let signed = match self.signed(headers) {
            Ok(signed) => signed,
            Err(reason) => return finding(reason.into()),
        };
        let found = Algorithm::ALL.iter().copied().find_map(|algorithm| {
            let order = Order::ALL.iter().copied().find(|&order| {
                let mut tokens = self.tokens.iter();
                tokens.any(|token| matches(&signed, token, algorithm, order))
            });
            order.map(|order| (algorithm, order))
        });
        let Some((algorithm, order)) = found else {
            return finding("no known variant matches".into());
        };
        let unit = [Unit::Seconds, Unit::Milliseconds]
            .into_iter()
            .find(|&unit| self.in_window(&signed, unit, now_ms));
        match unit {
            Some(unit) => Checked {
                proven: true,
                ..finding(variant(algorithm, order, unit))
            },
            None => finding("it matches, but the timestamp is outside the window".into()),
        }
    }

    fn in_window(&self, signed: &Signed<'_>, unit: Unit, now_ms: u64) -> bool {
        let digits_only = signed.timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at: Option<u64> = signed.timestamp.parse().ok().filter(|_| digits_only);
        let factor = match unit {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        };
        at.and_then(|at| at.checked_mul(factor))
            .is_some_and(|at_ms| at_ms.abs_diff(now_ms) <= self.window_ms)
    }
}

fn finding(text: String) -> Checked {
    Checked {
        finding: Some(text),
        ..Checked::default()
    }
}

/// A variant as its settings would name it.
fn variant(algorithm: Algorithm, order: Order, unit: Unit) -> String {
    let unit = match unit {
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
    };
    let mut name = String::from(algorithm.name());
    for part in [order.0, unit] {
        name.push(' ');
        name.push_str(part);
    }
    name
}

/// The refusal of an unproven sender. Which part failed is for the operator.
pub(crate) fn unauthorized(reason: &str) -> Box<Problem> {
    Problem::from(Refusal::Unauthorized)
        .for_operator(reason)
        .into()
}

fn matches(signed: &Signed<'_>, token: &str, algorithm: Algorithm, order: Order) -> bool {
    let operands = order.arrange(&Operands {
        token,
        timestamp: signed.timestamp,
        nonce: signed.nonce,
    });
    let expected = match algorithm {
        Algorithm::Sha256 => digest::<Sha256>(&operands),
        Algorithm::Sha1 => digest::<Sha1>(&operands),
        Algorithm::HmacSha256 => hmac(token, &operands),
    };
    let given = signed.signature.to_ascii_lowercase();
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

fn digest<D: Digest>(operands: &[Named<'_>]) -> String {
    let mut digest = D::new();
    for (_, value) in operands {
        digest.update(value);
    }
    crate::views::hex(&digest.finalize())
}

fn hmac(token: &str, operands: &[Named<'_>]) -> String {
    let signed = operands.iter().filter(|&&(name, _)| name != "token");
    keyed_hash(token.as_bytes(), signed.map(|(_, value)| value.as_bytes()))
}

/// HMAC-SHA-256 (RFC 2104) of these parts, joined.
fn keyed_hash<'a>(key: &[u8], parts: impl Iterator<Item = &'a [u8]>) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    parts.for_each(|part| mac.update(part));
    crate::views::hex(&mac.finalize().into_bytes())
}

/// Whether two secrets are the same, in a time that depends on their lengths
/// alone.
pub(crate) fn same_secret(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMP: &str = "1604458421";
    const NONCE: &str = "IkOaKMDalrAzUTxC";
    const NOW_MS: u64 = 1_604_458_421_000;

    fn scheme(mode: Mode) -> Scheme {
        Scheme {
            mode,
            tokens: Vec::from(["zzz".into(), "aaa".into()]),
            algorithm: Algorithm::Sha256,
            order: Order::of("sorted").unwrap(),
            signature_header: "signature".into(),
            timestamp_header: "timestamp".into(),
            nonce_header: "nonce".into(),
            unit: Unit::Seconds,
            window_ms: 300_000,
        }
    }

    fn headers(signature: &str, timestamp: &str) -> Vec<(String, Vec<u8>)> {
        [
            ("Signature", signature),
            ("timestamp", timestamp),
            ("NONCE", NONCE),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    /// Computed with Python's hashlib and hmac.
    const KNOWN: [(&str, &str); 3] = [
        (
            "sha256 sorted s",
            "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38",
        ),
        ("sha1 sorted s", "c259ed29ec13ba7c649fe0893007401a36e70453"),
        (
            "hmac-sha256 sorted s",
            "073a744dfc0145b5a7381af61a600d063c274f28d6ecab7f4a9b290bbaed1945",
        ),
    ];

    #[test]
    fn the_known_triple_is_accepted_with_either_token_and_its_nonce_remembered() {
        let checked = scheme(Mode::Enforce).check(&headers(KNOWN[0].1, TIMESTAMP), NOW_MS);
        let checked = checked.unwrap();
        assert!(checked.proven);
        let nonce = checked.nonce.unwrap();
        assert_eq!(nonce.value, NONCE);
        assert_eq!(nonce.expires_at_ms, NOW_MS + 600_000);
    }

    /// RFC 4231, 4.2 to 4.8; case 5 is cut to 128 bits there.
    #[test]
    fn hmac_is_that_of_the_public_vectors() {
        let counting: Vec<u8> = (1..=25).collect();
        let long_key = [0xaa; 131];
        let vectors: [(&[u8], &[u8], &str); 7] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &counting,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &[0x0c; 20],
                b"Test With Truncation",
                "a3b6167473100ee06e0c796c2955552b",
            ),
            (
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &long_key,
                b"This is a test using a larger than block-size key and a larger than \
                  block-size data. The key needs to be hashed before being used by the HMAC \
                  algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, expected) in vectors {
            let whole = keyed_hash(key, [data].into_iter());
            assert!(whole.starts_with(expected), "{whole}");
            // In parts it is the same.
            let (left, right) = data.split_at(data.len() / 2);
            assert_eq!(keyed_hash(key, [left, right].into_iter()), whole);
        }
    }

    #[test]
    fn upper_case_is_the_same_signature() {
        let headers = headers(&KNOWN[0].1.to_uppercase(), TIMESTAMP);
        assert!(scheme(Mode::Enforce).check(&headers, NOW_MS).is_ok());
    }

    #[test]
    fn report_names_each_variant_and_refuses_none() {
        for (name, signature) in KNOWN {
            let checked = scheme(Mode::Report).check(&headers(signature, TIMESTAMP), NOW_MS);
            let checked = checked.unwrap();
            assert_eq!(checked.finding.as_deref(), Some(name));
            assert!(checked.proven);
            assert!(checked.nonce.is_none());
        }
        for &order in Order::ALL {
            for &algorithm in Algorithm::ALL {
                let signed = Signed {
                    signature: "",
                    timestamp: TIMESTAMP,
                    nonce: NONCE,
                };
                let operands = order.arrange(&Operands {
                    token: "aaa",
                    timestamp: signed.timestamp,
                    nonce: signed.nonce,
                });
                let signature = match algorithm {
                    Algorithm::Sha256 => digest::<Sha256>(&operands),
                    Algorithm::Sha1 => digest::<Sha1>(&operands),
                    Algorithm::HmacSha256 => hmac("aaa", &operands),
                };
                let checked = scheme(Mode::Report).check(&headers(&signature, TIMESTAMP), NOW_MS);
                let found = checked.unwrap().finding.unwrap();
                // Two orders are the same when the operands happen to be sorted
                // so, or when the token is the key.
                assert!(found.starts_with(algorithm.name()), "{found}");
            }
        }
        let checked = scheme(Mode::Report)
            .check(&headers("00", TIMESTAMP), NOW_MS)
            .unwrap();
        assert!(!checked.proven);
        assert_eq!(checked.finding.as_deref(), Some("no known variant matches"));
    }

    #[test]
    fn wrong_missing_and_stale_signatures_are_refused() {
        let signature = KNOWN[0].1;
        let refused = |headers: &[(String, Vec<u8>)], now_ms| {
            let problem = scheme(Mode::Enforce).check(headers, now_ms).unwrap_err();
            assert_eq!(problem.refusal, Refusal::Unauthorized);
            problem.operator.unwrap()
        };
        assert_eq!(
            refused(&headers(KNOWN[1].1, TIMESTAMP), NOW_MS),
            "the signature does not match"
        );
        assert_eq!(
            refused(&headers("", TIMESTAMP), NOW_MS),
            "the signature does not match"
        );
        assert_eq!(refused(&[], NOW_MS), "no signature");
        let stale = "the timestamp is outside the window";
        assert_eq!(
            refused(&headers(signature, TIMESTAMP), NOW_MS + 300_001),
            stale
        );
        assert_eq!(
            refused(&headers(signature, TIMESTAMP), NOW_MS - 300_001),
            stale
        );
        let twice: Vec<_> = [headers(signature, TIMESTAMP), headers(signature, TIMESTAMP)].concat();
        assert_eq!(refused(&twice, NOW_MS), "no signature");
    }

    #[test]
    fn a_timestamp_is_digits() {
        let scheme = scheme(Mode::Enforce);
        for timestamp in ["+1604458421", "1604458421.0", "", "99999999999999999999"] {
            let signed = Signed {
                signature: "",
                timestamp,
                nonce: NONCE,
            };
            assert!(
                !scheme.in_window(&signed, Unit::Seconds, NOW_MS),
                "{timestamp}"
            );
        }
    }
}
