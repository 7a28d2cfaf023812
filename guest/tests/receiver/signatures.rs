//! A signature admits one notification, however its text is split into nonce
//! and timestamp.

use batchtask_guest::bindings::exports::batchtask::receiver::intake::Response;
use batchtask_guest::receiver::Receiver;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest, Sha256};

use crate::support::{Digests, notification, request, settings};

const WINDOW_MS: u64 = 300_000;
/// The approximate time of signing, in seconds since 1970.
const SIGNED_S: u64 = 1_604_458_421;

/// A way to split a signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Split {
    timestamp: String,
    nonce: String,
}

impl Split {
    /// The text that is signed: the three sorted strings.
    fn text(&self, token: &str) -> String {
        let mut parts = [token, &self.timestamp, &self.nonce];
        parts.sort_unstable();
        parts.concat()
    }

    fn at_ms(&self) -> u64 {
        let number: u64 = self.timestamp.parse().unwrap();
        match self.timestamp.len() {
            10 => number * 1000,
            _ => number,
        }
    }
}

/// Returns every way to split a signed text. It tries all of them.
fn splits(text: &str, tokens: &[String; 2]) -> Vec<Split> {
    let mut found = Vec::new();
    for token in tokens {
        for timestamp in parts(text, 10).chain(parts(text, 13)) {
            let rest = text.len().checked_sub(token.len() + timestamp.len());
            let is_number = timestamp.bytes().all(|byte| byte.is_ascii_digit());
            for nonce in parts(text, rest.unwrap_or_default()).filter(|_| is_number) {
                let split = Split {
                    timestamp: timestamp.into(),
                    nonce: nonce.into(),
                };
                if !nonce.is_empty() && split.text(token) == text && !found.contains(&split) {
                    found.push(split);
                }
            }
        }
    }
    found
}

/// Returns every part of a text with this length.
fn parts(text: &str, length: usize) -> impl Iterator<Item = &str> {
    (0..text.len()).filter_map(move |start| text.get(start..start + length))
}

struct Case {
    tokens: [String; 2],
    /// The text that is signed.
    text: String,
    journal: Digests,
}

impl Case {
    fn new(tokens: [String; 2], signed: &Split) -> Self {
        Self {
            text: signed.text(&tokens[0]),
            tokens,
            journal: <Digests>::default(),
        }
    }

    /// Sends a notification with this status.
    fn send(&self, split: &Split, status: &str, now_ms: u64) -> Response {
        let settings = settings(&[
            ("BATCHTASK_SIGNATURE", "enforce"),
            ("BATCHTASK_TOKEN", &self.tokens.join(",")),
            (
                "BATCHTASK_TIMESTAMP_WINDOW_S",
                &(WINDOW_MS / 1000).to_string(),
            ),
        ]);
        let receiver = Receiver {
            journal: &self.journal,
            settings: &settings,
            now_ms,
        };
        let digest = Sha256::digest(&self.text);
        let signature: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = [
            ("content-type", "application/json"),
            ("signature", &signature),
            ("timestamp", &split.timestamp),
            ("nonce", &split.nonce),
        ];
        receiver.exchange(request(
            "POST",
            "/notifications",
            &headers,
            &notification(status),
        ))
    }

    /// Uses the signature once, and then at every time that may matter, with
    /// the same notification and with another.
    fn check(&self, signed: &Split, now_ms: u64) {
        let first = self.send(signed, "Processing", now_ms);
        assert_eq!(
            (first.status, first.report.outcome.as_str()),
            (200, "recorded")
        );
        let splits = splits(&self.text, &self.tokens);
        assert!(splits.contains(signed));
        for now_ms in clocks(&splits, now_ms) {
            for split in &splits {
                let is_inside = split.at_ms().abs_diff(now_ms) <= WINDOW_MS;
                let expected = if is_inside {
                    "duplicate"
                } else {
                    "unauthorized"
                };
                // This comes first: the same notification would renew the signature.
                let other = self.send(split, "Success", now_ms);
                assert_eq!(other.status, 401, "{split:?} at {now_ms}");
                let again = self.send(split, "Processing", now_ms);
                assert_eq!(again.report.outcome, expected, "{split:?} at {now_ms}");
            }
        }
    }
}

/// Returns the limits of every window, and of the time for which a signature is
/// remembered, in order.
fn clocks(splits: &[Split], first_ms: u64) -> Vec<u64> {
    let instants = splits.iter().map(Split::at_ms).chain([first_ms]);
    let mut clocks: Vec<u64> = instants
        .flat_map(|at_ms| [-2, -1, 0, 1, 2].map(|windows| (at_ms, windows * 300_000)))
        .flat_map(|(at_ms, offset_ms)| {
            [-1, 0, 1].map(|more| at_ms.saturating_add_signed(offset_ms + more))
        })
        .collect();
    clocks.sort_unstable();
    clocks
}

fn split(timestamp: &str, nonce: &str) -> Split {
    Split {
        timestamp: timestamp.into(),
        nonce: nonce.into(),
    }
}

#[test]
fn a_nonce_may_be_a_later_timestamp() {
    let tokens = ["aaa".to_owned(), "bbb".to_owned()];
    for nonce in ["1604459521", "1604459521000", "5009"] {
        let signed = split("1604458421", nonce);
        let case = Case::new(tokens.clone(), &signed);
        assert!(splits(&case.text, &tokens).len() > 1, "{nonce}");
        case.check(&signed, SIGNED_S * 1000);
    }
}

#[test]
fn a_text_may_be_split_by_the_other_token() {
    let tokens = ["9000".to_owned(), "000".to_owned()];
    let signed = split("1604458421", "1604458422999");
    let case = Case::new(tokens.clone(), &signed);
    assert!(splits(&case.text, &tokens).len() > 1);
    case.check(&signed, SIGNED_S * 1000);
}

/// A timestamp that is a number of half windows away from the time of signing.
fn timestamp() -> impl Strategy<Value = String> {
    (-6..12_i64, any::<bool>(), 0..1000_u64).prop_map(|(halves, is_ms, more_ms)| {
        let at_s = SIGNED_S.saturating_add_signed(halves * 150);
        if is_ms {
            (at_s * 1000 + more_ms).to_string()
        } else {
            at_s.to_string()
        }
    })
}

fn nonce() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-zA-Z]{1,16}",
        "[0-9]{1,14}",
        timestamp(),
        ("[0-9a-z]{0,3}", timestamp(), "[0-9a-z]{0,3}")
            .prop_map(|(before, at, after)| [before, at, after].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_signature_admits_one_notification(
        token in prop_oneof!["[0-9]{3,5}", "[0-9A-Za-z]{3,8}"],
        timestamp in timestamp(),
        nonce in nonce(),
        start: Index,
        length in 3..8_usize,
        late_ms in 0..=WINDOW_MS,
    ) {
        let signed = split(&timestamp, &nonce);
        let text = signed.text(&token);
        let start = start.index(text.len() - length);
        // With a part of the text as the second token, more splits are possible.
        let other = text[start..start + length].to_owned();
        let now_ms = signed.at_ms() + late_ms;
        Case::new([token, other], &signed).check(&signed, now_ms);
    }
}
