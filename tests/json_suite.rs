//! A public suite of JSON texts, see `json-suite/README.md`. Each text is posted as a
//! whole body, and as the value of `status_desc` in a notification.
//!
//! A text that is not JSON is never stored, and gets 400. A JSON text is never called
//! malformed: it gets 422, or 200 if the body is a notification. The only exception is
//! a text that exceeds the bound on depth, because it is not checked further.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::client::Client;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::all_events;
use crate::support::notifications::Notification;

const CASES: &str = include_str!("json-suite/cases.tsv");

/// How much memory the host may have used at the end.
const RESIDENT_KIB_MAX: u64 = 64 << 10;

/// How often the whole suite is posted, so that a leak of memory shows.
const ROUNDS: usize = 5;

/// The results of cases that the suite leaves open, and of the exceptions: as a whole
/// body, and inside a notification.
const DECIDED: [(&str, Verdict, Verdict); 37] = [
    // The value of a number is not evaluated: it is stored as it is.
    ("i_number_double_huge_neg_exp", No, Recorded),
    ("i_number_huge_exp", No, Recorded),
    ("i_number_neg_int_huge_exp", No, Recorded),
    ("i_number_pos_double_huge_exp", No, Recorded),
    ("i_number_real_neg_overflow", No, Recorded),
    ("i_number_real_pos_overflow", No, Recorded),
    ("i_number_real_underflow", No, Recorded),
    ("i_number_too_big_neg_int", No, Recorded),
    ("i_number_too_big_pos_int", No, Recorded),
    ("i_number_very_big_negative_int", No, Recorded),
    // Half a surrogate pair is not valid Unicode, so it cannot be stored as text.
    ("i_object_key_lone_2nd_surrogate", NotJson, NotJson),
    ("i_string_1st_surrogate_but_2nd_missing", NotJson, NotJson),
    ("i_string_1st_valid_surrogate_2nd_invalid", NotJson, NotJson),
    (
        "i_string_incomplete_surrogate_and_escape_valid",
        NotJson,
        NotJson,
    ),
    ("i_string_incomplete_surrogate_pair", NotJson, NotJson),
    (
        "i_string_incomplete_surrogates_escape_valid",
        NotJson,
        NotJson,
    ),
    ("i_string_invalid_lonely_surrogate", NotJson, NotJson),
    ("i_string_invalid_surrogate", NotJson, NotJson),
    ("i_string_inverted_surrogates_U+1D11E", NotJson, NotJson),
    ("i_string_lone_second_surrogate", NotJson, NotJson),
    // JSON between systems must be UTF-8, but these bytes are not.
    ("i_string_UTF-16LE_with_BOM", NotJson, NotJson),
    ("i_string_UTF-8_invalid_sequence", NotJson, NotJson),
    ("i_string_UTF8_surrogate_U+D800", NotJson, NotJson),
    ("i_string_invalid_utf-8", NotJson, NotJson),
    ("i_string_iso_latin_1", NotJson, NotJson),
    ("i_string_lone_utf8_continuation_byte", NotJson, NotJson),
    ("i_string_not_in_unicode_range", NotJson, NotJson),
    ("i_string_overlong_sequence_2_bytes", NotJson, NotJson),
    ("i_string_overlong_sequence_6_bytes", NotJson, NotJson),
    ("i_string_overlong_sequence_6_bytes_null", NotJson, NotJson),
    ("i_string_truncated-utf-8", NotJson, NotJson),
    ("i_string_utf16BE_no_BOM", NotJson, NotJson),
    ("i_string_utf16LE_no_BOM", NotJson, NotJson),
    // A byte order mark is allowed only at the beginning of a body.
    ("i_structure_UTF-8_BOM_empty_object", No, NotJson),
    // The depth exceeds the bound, so the rest is not checked.
    ("i_structure_500_nested_arrays", No, No),
    ("n_structure_100000_opening_arrays", No, No),
    ("n_structure_open_array_object", No, No),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// 200: a notification.
    Recorded,
    /// 422: not a notification.
    No,
    /// 400: not JSON.
    NotJson,
}

use Verdict::{No, NotJson, Recorded};

impl Verdict {
    fn answer(self) -> (u16, &'static str) {
        match self {
            Recorded => (200, "recorded"),
            No => (422, "not-a-notification"),
            NotJson => (400, "not-json"),
        }
    }
}

struct Case {
    name: &'static str,
    body: Vec<u8>,
}

impl Case {
    fn of(line: &'static str) -> Self {
        let (name, pieces) = line.split_once('\t').expect("two columns");
        let mut body = Vec::new();
        for piece in pieces.split(',') {
            let (times, base64) = piece.split_once('*').unwrap_or(("1", piece));
            let bytes = BASE64_STANDARD.decode(base64).expect("base64");
            body.extend(bytes.repeat(times.parse().expect("a number")));
        }
        Self { name, body }
    }

    fn verdicts(&self) -> (Verdict, Verdict) {
        let decided = DECIDED.iter().find(|(name, _, _)| *name == self.name);
        match decided {
            Some(&(_, whole, inside)) => (whole, inside),
            None if self.name.starts_with("n_") => (NotJson, NotJson),
            None => {
                assert!(self.name.starts_with("y_"), "{} is decided", self.name);
                (No, Recorded)
            }
        }
    }

    /// Returns a notification with this text as its `status_desc`. It differs in each
    /// round.
    fn inside(&self, round: usize) -> Vec<u8> {
        const MARK: &str = "\"here\"";
        let notification = Notification {
            status_desc: "here".into(),
            task_id: format!("{} in round {round}", self.name),
            ..Notification::numbered(0)
        };
        let body = notification.body();
        let (before, behind) = body.split_once(MARK).expect("the mark");
        [before.as_bytes(), &self.body, behind.as_bytes()].concat()
    }
}

async fn post(client: &mut Client, name: &str, body: &[u8], verdict: Verdict) {
    let answer = client.post(body).await;
    let found = (answer.status, answer.outcome());
    let (status, outcome) = verdict.answer();
    assert_eq!(found, (status, outcome.to_owned()), "{name}");
}

#[tokio::test]
async fn json_is_never_called_malformed_and_nothing_else_is_ever_stored() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let mut client = host.client();
    let cases: Vec<Case> = CASES.lines().map(Case::of).collect();
    assert_eq!(cases.len(), 318);
    let mut recorded = 0;
    for round in 0..ROUNDS {
        for case in &cases {
            let (whole, inside) = case.verdicts();
            post(&mut client, case.name, &case.body, whole).await;
            post(&mut client, case.name, &case.inside(round), inside).await;
            recorded += usize::from(inside == Recorded);
        }
    }
    assert_eq!(all_events(&mut client).await.len(), recorded);
    assert!(recorded >= ROUNDS, "some of it is JSON");
    let peak_kib = host.peak_kib();
    eprintln!("resident after {ROUNDS} rounds: {peak_kib} KiB");
    assert!(peak_kib < RESIDENT_KIB_MAX, "{peak_kib} KiB");
    host.stop();
}
