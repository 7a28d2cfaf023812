//! Any message has the same meaning inside a dead letter as outside, and a dead letter
//! inside another is refused.
#![no_main]

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use batchtask_notification::{Notification, ParseError};
use libfuzzer_sys::fuzz_target;

const PAYLOAD: &str = "/base64_original_payload";

fuzz_target!(|message: &[u8]| {
    let padded = inside(BASE64_STANDARD.encode(message));
    assert_eq!(padded, inside(BASE64_STANDARD_NO_PAD.encode(message)));

    match (Notification::parse(message), padded) {
        (Ok(outside), Ok(inside)) => assert_eq!(outside, inside),
        (Err(outside), Err(ParseError::DeadLetter(inside))) if outside == *inside => {}
        // The message is a dead letter itself.
        (outside, Err(ParseError::DeadLetter(inside))) => {
            assert_eq!(inside.pointer(), Some(PAYLOAD));
            assert!(outside.map_or_else(|error| error.pointer() == Some(PAYLOAD), |_| true));
        }
        (outside, inside) => panic!("{outside:?} outside, {inside:?} inside"),
    }

    // The message itself as the base64 text.
    if let Ok(text) = core::str::from_utf8(message)
        && !text.contains(['"', '\\'])
        && !text.contains(|c: char| c < ' ')
    {
        match inside(text.into()) {
            Ok(_) | Err(ParseError::DeadLetter(_)) => {
                let digits = text.trim_end_matches('=');
                assert_eq!(BASE64_STANDARD_NO_PAD.decode(digits).map(|_| ()), Ok(()));
            }
            Err(error) => assert_eq!(error.pointer(), Some(PAYLOAD)),
        }
    }
});

fn inside(payload: String) -> Result<Notification, ParseError> {
    let letter = format!(r#"{{"rule_id":"r","base64_original_payload":"{payload}"}}"#);
    Notification::parse(letter.as_bytes())
}
