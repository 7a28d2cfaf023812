//! Any text is either not a time, or the only text of its time. Times and their texts
//! have the same order.
#![no_main]

use batchtask_notification::time::{parse_milliseconds, parse_seconds, rfc3339};
use libfuzzer_sys::fuzz_target;

/// 9999-12-31T23:59:59.999Z
const LAST_MS: u64 = 253_402_300_799_999;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = core::str::from_utf8(bytes) {
        if let Some(at_ms) = parse_milliseconds(text) {
            assert_eq!(rfc3339(at_ms), text);
        }
        if let Some(at_ms) = parse_seconds(text) {
            assert_eq!(compact(at_ms), text);
        }
    }
    if let Some((number, rest)) = bytes.split_first_chunk() {
        let one = u64::from_le_bytes(*number);
        let other = rest
            .first_chunk()
            .map_or(one, |number| u64::from_le_bytes(*number));
        assert!(one <= LAST_MS || rfc3339(one) == rfc3339(LAST_MS));

        let (one, other) = (one % (LAST_MS + 1), other % (LAST_MS + 1));
        let (one_text, other_text) = (rfc3339(one), rfc3339(other));
        assert_eq!(one.cmp(&other), one_text.cmp(&other_text));
        assert_eq!(parse_milliseconds(&one_text), Some(one));
        assert_eq!(parse_seconds(&compact(one)), Some(one / 1000 * 1000));
    }
});

/// Returns a time in the form of `event_time`.
fn compact(at_ms: u64) -> String {
    let text = rfc3339(at_ms);
    text[..19].replace(['-', ':'], "") + "Z"
}
