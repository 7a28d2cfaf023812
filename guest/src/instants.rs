//! Parses the points in time that people and programs ask for.

use alloc::string::String;

use batchtask_notification::time;

use crate::text::{number, times};

/// The forms of an instant, for messages.
pub const INSTANT_FORMS: &str = "an instant such as `2026-01-31T12:00:00.000Z`, `2026-01-31T20:00+08:00` or `2026-01-31` (UTC), \
     or an age such as `2h`, `30m` or `7d`";

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Parses an instant, or an age before `now_ms`. Returns milliseconds since 1970.
/// The last parts of an instant may be missing. Without an offset it is UTC.
pub fn parse_instant(text: &str, now_ms: u64) -> Option<u64> {
    match parse_age(text.strip_prefix('-').unwrap_or(text)) {
        Some(age_ms) => Some(now_ms.saturating_sub(age_ms)),
        None => instant(text),
    }
}

/// Parses a length of time, such as `2h`. Returns milliseconds.
pub fn parse_age(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => SECOND_MS,
        "m" => MINUTE_MS,
        "h" => HOUR_MS,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    let count = number(digits, 0..=u64::MAX).filter(|_| is_number)?;
    count.checked_mul(unit_ms)
}

fn instant(text: &str) -> Option<u64> {
    let (local, offset) = split_offset(text);
    let local_ms = time::parse_milliseconds(&whole(local)?)?;
    let Some((is_east, offset)) = offset else {
        return Some(local_ms);
    };
    let offset_ms = offset_ms(offset)?;
    if is_east {
        local_ms.checked_sub(offset_ms)
    } else {
        local_ms.checked_add(offset_ms)
    }
}

/// Splits an instant from its offset, which is `None` in UTC and otherwise begins
/// with true if it is positive. In a query, a `+` that is not encoded is a space.
fn split_offset(text: &str) -> (&str, Option<(bool, &str)>) {
    if let Some(local) = text.strip_suffix('Z') {
        return (local, None);
    }
    // A date has hyphens too, and no offset.
    let time_at = text.find('T').unwrap_or(text.len());
    let sign_at = text.rfind(['+', '-', ' ']).filter(|at| *at > time_at);
    match sign_at.and_then(|at| text.split_at_checked(at)) {
        Some((local, offset)) => {
            let is_east = !offset.starts_with('-');
            (local, Some((is_east, offset.get(1..).unwrap_or_default())))
        }
        None => (text, None),
    }
}

/// Parses an offset of the form `hh:mm`, `hhmm` or `hh`.
fn offset_ms(text: &str) -> Option<u64> {
    let (hours, minutes) = match text.len() {
        2 => (text, "00"),
        4 => text.split_at_checked(2)?,
        5 => text.split_once(':')?,
        _ => return None,
    };
    let part = |text: &str, max: u64, unit_ms: u64| {
        let is_part = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
        let number = number(text, 0..=max).filter(|_| is_part)?;
        Some(times(number, unit_ms))
    };
    let (hours_ms, minutes_ms) = (part(hours, 23, HOUR_MS)?, part(minutes, 59, MINUTE_MS)?);
    hours_ms.checked_add(minutes_ms)
}

/// Completes an instant whose last parts may be missing, with zeros.
fn whole(text: &str) -> Option<String> {
    const MIDNIGHT: &str = "yyyy-mm-ddT00:00:00.000Z";
    let is_a_part = matches!(text.len(), 10 | 16 | 19 | 23);
    let rest = MIDNIGHT.get(text.len()..).filter(|_| is_a_part)?;
    let mut whole = String::from(text);
    whole.push_str(rest);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-31T12:34:56.789Z
    const NOW_MS: u64 = 1_769_862_896_789;

    #[test]
    fn the_end_of_an_instant_may_be_missing() {
        for (text, whole) in [
            ("2026-01-31", "2026-01-31T00:00:00.000Z"),
            ("2026-01-31T12:34", "2026-01-31T12:34:00.000Z"),
            ("2026-01-31T12:34Z", "2026-01-31T12:34:00.000Z"),
            ("2026-01-31T12:34:56", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T12:34:56Z", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T12:34:56.789Z", "2026-01-31T12:34:56.789Z"),
            ("2026-01-31T20:34:56+08:00", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T20:34:56 08:00", "2026-01-31T12:34:56.000Z"),
            ("2026-01-31T20:34+0800", "2026-01-31T12:34:00.000Z"),
            ("2026-01-31T07:04:56.789-05:30", "2026-01-31T12:34:56.789Z"),
            ("2026-01-31T07:34-05", "2026-01-31T12:34:00.000Z"),
            ("0s", "2026-01-31T12:34:56.789Z"),
            ("30s", "2026-01-31T12:34:26.789Z"),
            ("4m", "2026-01-31T12:30:56.789Z"),
            ("-2h", "2026-01-31T10:34:56.789Z"),
            ("1d", "2026-01-30T12:34:56.789Z"),
            ("1w", "2026-01-24T12:34:56.789Z"),
            ("99999999999d", "1970-01-01T00:00:00.000Z"),
        ] {
            let found = parse_instant(text, NOW_MS);
            assert_eq!(found.map(time::rfc3339).as_deref(), Some(whole), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_instant() {
        for text in [
            "",
            "Z",
            "h",
            "-h",
            "+2h",
            "2 h",
            "2y",
            "2.5h",
            "999999999999999999d",
            "2026",
            "2026-01-31T12",
            "2026-02-30",
            "2026-01-31+08:00",
            "2026-01-31T12:34+8",
            "2026-01-31T12:34+24:00",
            "2026-01-31T12:34+08:60",
            "2026-01-31T12:34:56+0 :00",
            "2026-01-31T12:34:56.7890",
            "1970-01-01T00:00+08:00",
            "é",
        ] {
            assert_eq!(parse_instant(text, NOW_MS), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_instant_or_not(text in "[-+0-9TZ: .hdé]{0,30}") {
            let _ = parse_instant(&text, NOW_MS);
        }
    }
}
