//! Checks the signature of a push, which proves that the platform sent it.
//!
//! The platform sends three header fields: `timestamp`, `nonce` and
//! `signature`. The signature is the hexadecimal SHA-256 of token, timestamp
//! and nonce, sorted as text and joined. The unit of the timestamp is not
//! documented; its length shows it. The case of the hexadecimal digits is not
//! documented either, and is ignored.
//!
//! The signature does not cover the body. It proves the sender. Two checks
//! prevent its use for another notification: the timestamp must be within a
//! window, and the signature is remembered with its notification. The
//! *signature* is remembered and not the nonce, because one signed text can be
//! split into nonce and timestamp in several ways. It is remembered until all
//! these timestamps are outside the window. That is rarely more than two
//! windows, but can be years if the digits of a nonce can be read as a date.

use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::{hex, sha256};
use subtle::ConstantTimeEq;

use crate::headers::{Fields, header};
use crate::text::{number, times};

/// The greatest length of a nonce, in bytes.
const NONCE_BYTES_MAX: usize = 256;

/// The number of digits of a timestamp in seconds, from 2001 to 2286.
const SECONDS_DIGITS: usize = 10;
/// The number of digits of a timestamp in milliseconds, for the same years.
const MILLISECONDS_DIGITS: usize = 13;

/// Whether signatures are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are ignored.
    #[default]
    Off,
    /// They are checked and the result is reported. No request is refused.
    Report,
    /// Requests without a valid signature are refused.
    Enforce,
}

/// The configuration of the signature check.
#[derive(Clone, Debug, Default)]
pub struct Scheme {
    /// Whether signatures are checked.
    pub mode: Mode,
    /// The valid tokens: none, one, or two while one replaces the other.
    pub tokens: Vec<String>,
    /// The greatest difference between the timestamp and now, in either
    /// direction, in milliseconds.
    pub window_ms: u64,
}

macro_rules! findings {
    ($($(#[$doc:meta])* $case:ident $text:literal)*) => {
        /// The result of a signature check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Finding { $($(#[$doc])* $case,)* }

        impl Finding {
            /// Every finding.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// The text of the finding in events, logs and metrics.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$case => $text),* }
            }
        }
    };
}

findings! {
    /// The signature is valid, and its timestamp counts seconds.
    ValidSeconds "valid, timestamp in seconds"
    /// The signature is valid, and its timestamp counts milliseconds.
    ValidMilliseconds "valid, timestamp in milliseconds"
    /// The field `signature` is missing or repeated.
    NoSignature "no signature"
    /// The field `timestamp` is missing or repeated.
    NoTimestamp "no timestamp"
    /// The field `nonce` is missing or repeated.
    NoNonce "no nonce"
    /// The nonce is empty or longer than 256 bytes.
    BadNonce "the nonce has a wrong length"
    /// The timestamp is not 10 or 13 digits.
    BadTimestamp "the timestamp is not 10 or 13 digits"
    /// The signature does not match with any token.
    NoMatch "the signature does not match"
    /// The signature matches, but its timestamp is too far from now.
    OutsideWindow "the timestamp is outside the window"
}

impl Finding {
    /// Whether the signature proves the sender.
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::ValidSeconds | Self::ValidMilliseconds)
    }
}

/// A signature that proves its sender, until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The signature, in lower case.
    pub signature: String,
    /// From this time on every timestamp into which the signed text can be split
    /// is outside the window, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// The result of a signature check, with details.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The result.
    pub finding: Finding,
    /// The signature; `None` unless the finding is valid.
    pub proof: Option<Proof>,
    /// How far now is after the timestamp, in milliseconds; `None` unless the
    /// signature matches.
    pub skew_ms: Option<i64>,
}

/// The three header fields of a signed request.
struct Signed<'a> {
    signature: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
}

impl<'a> Signed<'a> {
    fn of(fields: &'a Fields) -> Result<Self, Finding> {
        let signed = Self {
            signature: header(fields, "signature").ok_or(Finding::NoSignature)?,
            timestamp: header(fields, "timestamp").ok_or(Finding::NoTimestamp)?,
            nonce: header(fields, "nonce").ok_or(Finding::NoNonce)?,
        };
        match signed.nonce.len() {
            1..=NONCE_BYTES_MAX => Ok(signed),
            _ => Err(Finding::BadNonce),
        }
    }
}

/// Returns the text that is signed: the three strings, sorted and joined.
fn signed_text(token: &str, timestamp: &str, nonce: &str) -> String {
    // Sorted by three comparisons: the code of a general sort is 4 kB.
    let (least, greater) = ascending(token, timestamp);
    let (middle, greatest) = ascending(greater, nonce);
    let (least, middle) = ascending(least, middle);
    let mut text = String::from(least);
    text.push_str(middle);
    text.push_str(greatest);
    text
}

/// Returns the two texts in ascending order.
fn ascending<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other {
        (one, other)
    } else {
        (other, one)
    }
}

/// Parses a timestamp. Returns the time in milliseconds since 1970, and the
/// valid finding for its unit.
fn instant(timestamp: &str) -> Result<(u64, Finding), Finding> {
    let digits_only = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at = number(timestamp, 0..=u64::MAX).filter(|_| digits_only);
    match (timestamp.len(), at) {
        (SECONDS_DIGITS, Some(at_s)) => Ok((times(at_s, 1000), Finding::ValidSeconds)),
        (MILLISECONDS_DIGITS, Some(at_ms)) => Ok((at_ms, Finding::ValidMilliseconds)),
        _ => Err(Finding::BadTimestamp),
    }
}

/// Returns the latest timestamp with this number of digits into which a signed
/// text can be split with this token, in milliseconds since 1970; 0 if there is
/// none.
fn latest_ms(text: &str, token: &str, digits: usize) -> u64 {
    let token_length = token.len();
    let others = token_length.saturating_add(digits);
    let nonce_length = text.len().saturating_sub(others);
    // Before a string, there may be none, one or both of the other two.
    let parts = |length: usize, other: usize| {
        [0, token_length, other, token_length.saturating_add(other)]
            .into_iter()
            .filter_map(move |start| text.get(start..start.saturating_add(length)))
    };
    let mut latest_ms = 0;
    for timestamp in parts(digits, nonce_length) {
        let Ok((at_ms, _)) = instant(timestamp) else {
            continue;
        };
        let is_split = |nonce| signed_text(token, timestamp, nonce) == text;
        if at_ms > latest_ms && parts(nonce_length, digits).any(is_split) {
            latest_ms = at_ms;
        }
    }
    latest_ms
}

impl Scheme {
    /// Checks the signature of a request that arrived at `now_ms`. Returns
    /// `None` if signatures are not checked.
    pub fn check(&self, fields: &Fields, now_ms: u64) -> Option<Checked> {
        if self.mode == Mode::Off {
            return None;
        }
        let checked = self.verify(fields, now_ms);
        Some(checked.unwrap_or_else(|finding| Checked {
            finding,
            proof: None,
            skew_ms: None,
        }))
    }

    fn verify(&self, fields: &Fields, now_ms: u64) -> Result<Checked, Finding> {
        let signed = Signed::of(fields)?;
        let signature = signed.signature.to_ascii_lowercase();
        let mut matching = None;
        // Try all tokens, so that the time does not depend on which one matched.
        for token in &self.tokens {
            let text = signed_text(token, signed.timestamp, signed.nonce);
            if same_secret(&signature, &hex(&sha256(&[text.as_bytes()]))) {
                matching = Some(text);
            }
        }
        let text = matching.ok_or(Finding::NoMatch)?;
        let (at_ms, finding) = instant(signed.timestamp)?;
        let is_inside = at_ms.abs_diff(now_ms) <= self.window_ms;
        let proof = is_inside.then(|| Proof {
            signature,
            expires_at_ms: self.expires_at_ms(&text, now_ms),
        });
        let finding = if is_inside {
            finding
        } else {
            Finding::OutsideWindow
        };
        Ok(Checked {
            finding,
            proof,
            skew_ms: Some(difference_ms(now_ms, at_ms)),
        })
    }

    /// Returns when every timestamp into which a signed text can be split is
    /// outside the window, in milliseconds since 1970. It is at least two windows
    /// from now.
    fn expires_at_ms(&self, text: &str, now_ms: u64) -> u64 {
        let mut latest = now_ms.saturating_add(self.window_ms);
        for token in &self.tokens {
            for digits in [SECONDS_DIGITS, MILLISECONDS_DIGITS] {
                latest = latest.max(latest_ms(text, token, digits));
            }
        }
        latest.saturating_add(self.window_ms).saturating_add(1)
    }
}

/// Returns how far `at_ms` is after `since_ms`, in milliseconds.
pub(crate) fn difference_ms(at_ms: u64, since_ms: u64) -> i64 {
    let distance = i64::try_from(at_ms.abs_diff(since_ms)).unwrap_or(i64::MAX);
    if at_ms >= since_ms {
        distance
    } else {
        distance.saturating_neg()
    }
}

/// Compares two secrets. The time it takes depends only on their lengths.
pub(crate) fn same_secret(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

/// Whether `given` is one of the secrets. Compares all of them, so that the time
/// does not show which one matched.
pub fn is_secret(given: &str, secrets: &[String]) -> bool {
    let same = secrets.iter().map(|secret| same_secret(given, secret));
    same.fold(false, |found, same| found | same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMP: &str = "1604458421";
    const NONCE: &str = "IkOaKMDalrAzUTxC";
    const NOW_MS: u64 = 1_604_458_421_000;

    /// Computed with Python's hashlib, for the token `aaa`.
    const SIGNATURE: &str = "bb612d261d52dbe02e5e09aa377691db393c8fe75e7d8f9c5833cd6e56caee38";

    fn scheme(mode: Mode) -> Scheme {
        Scheme {
            mode,
            tokens: Vec::from(["zzz".into(), "aaa".into()]),
            window_ms: 300_000,
        }
    }

    fn fields(signature: &str, timestamp: &str, nonce: &str) -> Vec<(String, Vec<u8>)> {
        [
            ("Signature", signature),
            ("timestamp", timestamp),
            ("NONCE", nonce),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into()
    }

    fn signed(timestamp: &str, nonce: &str) -> Vec<(String, Vec<u8>)> {
        let text = signed_text("aaa", timestamp, nonce);
        fields(&hex(&sha256(&[text.as_bytes()])), timestamp, nonce)
    }

    fn finding(fields: &Fields, now_ms: u64) -> Finding {
        let checked = scheme(Mode::Enforce).check(fields, now_ms).unwrap();
        assert_eq!(checked.proof.is_some(), checked.finding.is_valid());
        checked.finding
    }

    #[test]
    fn the_known_triple_is_valid_with_either_token_and_in_either_case() {
        for signature in [SIGNATURE.into(), SIGNATURE.to_uppercase()] {
            let fields = fields(&signature, TIMESTAMP, NONCE);
            let checked = scheme(Mode::Enforce).check(&fields, NOW_MS).unwrap();
            assert_eq!(checked.finding, Finding::ValidSeconds);
            let expected = Proof {
                signature: SIGNATURE.into(),
                expires_at_ms: NOW_MS + 600_001,
            };
            assert_eq!(checked.proof, Some(expected));
        }
        let off = scheme(Mode::Off).check(&fields(SIGNATURE, TIMESTAMP, NONCE), NOW_MS);
        assert!(off.is_none());
    }

    #[test]
    fn the_length_of_the_timestamp_tells_its_unit() {
        let at = |timestamp: &str| finding(&signed(timestamp, NONCE), NOW_MS);
        assert_eq!(at("1604458421"), Finding::ValidSeconds);
        assert_eq!(at("1604458421000"), Finding::ValidMilliseconds);
        for malformed in [
            "",
            "160445842",
            "16044584210",
            "+604458421",
            "1604458421.0",
            "١٦٠٤٤",
        ] {
            assert_eq!(at(malformed), Finding::BadTimestamp, "{malformed}");
        }
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        let signed = signed(TIMESTAMP, NONCE);
        for (now_ms, expected) in [
            (NOW_MS - 300_000, Finding::ValidSeconds),
            (NOW_MS + 300_000, Finding::ValidSeconds),
            (NOW_MS - 300_001, Finding::OutsideWindow),
            (NOW_MS + 300_001, Finding::OutsideWindow),
        ] {
            assert_eq!(finding(&signed, now_ms), expected, "{now_ms}");
        }
    }

    #[test]
    fn a_signature_that_matches_tells_how_far_the_clock_is_off() {
        let skew = |fields: &Fields, now_ms| {
            let checked = scheme(Mode::Report).check(fields, now_ms).unwrap();
            checked.skew_ms
        };
        for skew_ms in [0, 1, -1, 300_000, -300_001, 86_400_000, -86_400_000] {
            let now_ms = NOW_MS.saturating_add_signed(skew_ms);
            assert_eq!(skew(&signed(TIMESTAMP, NONCE), now_ms), Some(skew_ms));
        }
        let forged = fields(&"0".repeat(64), TIMESTAMP, NONCE);
        assert_eq!(skew(&forged, NOW_MS), None);
        assert_eq!(difference_ms(u64::MAX, 0), i64::MAX);
        assert_eq!(difference_ms(0, u64::MAX), -i64::MAX);
    }

    #[test]
    fn wrong_and_missing_fields_are_named() {
        let whole = fields(SIGNATURE, TIMESTAMP, NONCE);
        for (missing, expected) in [
            (0, Finding::NoSignature),
            (1, Finding::NoTimestamp),
            (2, Finding::NoNonce),
        ] {
            let mut fields = whole.clone();
            fields.remove(missing);
            assert_eq!(finding(&fields, NOW_MS), expected);
            let mut fields = whole.clone();
            fields.push(whole[missing].clone());
            assert_eq!(finding(&fields, NOW_MS), expected, "repeated");
        }
        for signature in ["", "00", &SIGNATURE[1..], &"0".repeat(64)] {
            let fields = fields(signature, TIMESTAMP, NONCE);
            assert_eq!(finding(&fields, NOW_MS), Finding::NoMatch);
        }
        for nonce in ["", &"n".repeat(257)] {
            assert_eq!(
                finding(&signed(TIMESTAMP, nonce), NOW_MS),
                Finding::BadNonce
            );
        }
    }
}
