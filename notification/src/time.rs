//! Reads the platform's two forms of time, and writes the form of RFC 3339.
//!
//! All forms are UTC, have a fixed width, and cover the years 1970 to 9999 of
//! the Gregorian calendar. There are no leap seconds: `:60` is refused.

use ::time::{Date, Month, Time, UtcDateTime};
use alloc::string::String;
use alloc::vec::Vec;

/// The form of `event_time`, such as `20151212T121212Z`. As in the platform's
/// documentation, each of the letters `yMdHmsS` is a digit of a part.
const SECONDS: &[u8] = b"yyyyMMddTHHmmssZ";

/// The form of `event_time_ms`, such as `2015-12-12T12:12:12.000Z`. It is also
/// the form of RFC 3339 with milliseconds.
const MILLISECONDS: &[u8] = b"yyyy-MM-ddTHH:mm:ss.SSSZ";

/// [`MILLISECONDS`] without a fraction. The platform does not document it.
const WHOLE_SECONDS: &[u8] = b"yyyy-MM-ddTHH:mm:ssZ";

/// Parses a time in any of the forms that the platform may use, in either
/// member: that of `event_time`, and that of `event_time_ms` with or without
/// milliseconds. Returns milliseconds since 1970.
pub fn parse(text: &str) -> Option<u64> {
    let mut forms = [SECONDS, MILLISECONDS, WHOLE_SECONDS].into_iter();
    forms.find_map(|form| Digits::read(text, form)?.instant())
}

/// Parses the form of `event_time`, `yyyyMMdd'T'HHmmss'Z'`. Returns milliseconds
/// since 1970, or `None` if the text is not exactly of that form or the instant
/// does not exist.
pub fn parse_seconds(text: &str) -> Option<u64> {
    Digits::read(text, SECONDS)?.instant()
}

/// Parses the form of `event_time_ms`, `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`. Returns
/// milliseconds since 1970, or `None` if the text is not exactly of that form or
/// the instant does not exist.
pub fn parse_milliseconds(text: &str) -> Option<u64> {
    Digits::read(text, MILLISECONDS)?.instant()
}

/// Formats milliseconds since 1970 as RFC 3339 with milliseconds, such as
/// `2015-12-12T12:12:12.000Z`. The form ends with the year 9999: a later instant
/// is formatted as the last one of that year.
pub fn rfc3339(at_ms: u64) -> String {
    let digits = Digits::of(at_ms.min(LAST_MS));
    digits.unwrap_or_default().print(MILLISECONDS)
}

/// The last instant of the year 9999, in milliseconds since 1970.
const LAST_MS: u64 = 253_402_300_799_999;

/// The parts of a time, as numbers. The time may not exist.
#[derive(Default)]
struct Digits {
    year: u16,
    month: u16,
    day: u16,
    hour: u16,
    minute: u16,
    second: u16,
    millisecond: u16,
}

impl Digits {
    /// Returns the part for a letter of a form, if it is a part.
    fn part(&mut self, letter: u8) -> Option<&mut u16> {
        match letter {
            b'y' => Some(&mut self.year),
            b'M' => Some(&mut self.month),
            b'd' => Some(&mut self.day),
            b'H' => Some(&mut self.hour),
            b'm' => Some(&mut self.minute),
            b's' => Some(&mut self.second),
            b'S' => Some(&mut self.millisecond),
            _ => None,
        }
    }

    fn read(text: &str, form: &[u8]) -> Option<Self> {
        if text.len() != form.len() {
            return None;
        }
        let mut digits = Self::default();
        for (byte, &letter) in text.bytes().zip(form) {
            match digits.part(letter) {
                Some(part) => {
                    let digit = char::from(byte).to_digit(10)?;
                    let digit = u16::try_from(digit).ok()?;
                    *part = part.saturating_mul(10).saturating_add(digit);
                }
                None if byte == letter => {}
                None => return None,
            }
        }
        Some(digits)
    }

    fn print(mut self, form: &[u8]) -> String {
        let mut text = Vec::from(form);
        for letter in text.iter_mut().rev() {
            if let Some(part) = self.part(*letter) {
                let digit = u8::try_from(*part % 10).unwrap_or_default();
                *letter = b'0'.saturating_add(digit);
                *part /= 10;
            }
        }
        String::from_utf8(text).unwrap_or_default()
    }

    /// Returns the instant in milliseconds since 1970, if it exists.
    fn instant(&self) -> Option<u64> {
        let part = |part: u16| u8::try_from(part).ok();
        let month = Month::try_from(part(self.month)?).ok()?;
        let date = Date::from_calendar_date(self.year.into(), month, part(self.day)?).ok()?;
        let (hour, minute, second) = (part(self.hour)?, part(self.minute)?, part(self.second)?);
        let time = Time::from_hms(hour, minute, second).ok()?;
        let seconds = u64::try_from(UtcDateTime::new(date, time).unix_timestamp()).ok()?;
        seconds
            .checked_mul(1000)?
            .checked_add(self.millisecond.into())
    }

    fn of(at_ms: u64) -> Option<Self> {
        let seconds = i64::try_from(at_ms / 1000).ok()?;
        let at = UtcDateTime::from_unix_timestamp(seconds).ok()?;
        let year = u16::try_from(at.year()).ok()?;
        (year <= 9999).then_some(Self {
            year,
            month: u8::from(at.month()).into(),
            day: at.day().into(),
            hour: at.hour().into(),
            minute: at.minute().into(),
            second: at.second().into(),
            millisecond: u16::try_from(at_ms % 1000).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another calendar (Python's `datetime`).
    const KNOWN: [(&str, u64); 7] = [
        ("1970-01-01T00:00:00.000Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("2000-02-29T00:00:00.000Z", 951_782_400_000),
        ("2015-12-12T12:12:12.000Z", 1_449_922_332_000),
        ("2024-02-29T23:59:59.999Z", 1_709_251_199_999),
        ("2026-11-23T05:11:00.042Z", 1_795_410_660_042),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ];

    #[test]
    fn known_instants() {
        for (text, at_ms) in KNOWN {
            assert_eq!(parse_milliseconds(text), Some(at_ms), "{text}");
            assert_eq!(parse(text), Some(at_ms), "{text}");
            assert_eq!(rfc3339(at_ms), text);

            let (seconds, _) = text.split_once('.').unwrap();
            let whole_ms = Some(at_ms - at_ms % 1000);
            let compact = seconds.replace(['-', ':'], "") + "Z";
            assert_eq!(parse_seconds(&compact), whole_ms, "{compact}");
            assert_eq!(parse(&compact), whole_ms, "{compact}");
            let whole = String::from(seconds) + "Z";
            assert_eq!(parse(&whole), whole_ms, "{whole}");
            assert_eq!(parse_milliseconds(&whole), None, "{whole}");
        }
        assert_eq!(parse_seconds("20151212T121212Z"), Some(1_449_922_332_000));
    }

    #[test]
    fn the_year_9999_is_the_last() {
        assert_eq!(rfc3339(LAST_MS + 1), rfc3339(LAST_MS));
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn only_real_times_of_the_exact_form() {
        for text in [
            "",
            "20151212T121212",
            "20151212T121212ZZ",
            "20151212t121212z",
            "20151212 121212Z",
            " 20151212T121212",
            "2015-12-12T12:12:12Z",
            "20150229T000000Z",
            "19000229T000000Z",
            "21000229T000000Z",
            "20150431T000000Z",
            "20151312T000000Z",
            "20150012T000000Z",
            "20151200T000000Z",
            "20151212T240000Z",
            "20151212T126012Z",
            "20161231T235960Z",
            "19691231T235959Z",
            "00000101T000000Z",
            "+0151212T121212Z",
            "2015121\u{0662}T12121Z",
            "２015121T12121Z",
        ] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
        for text in [
            "",
            "20151212T121212Z",
            "2015-12-12T12:12:12Z",
            "2015-12-12T12:12:12.0Z",
            "2015-12-12T12:12:12.0000Z",
            "2015-12-12T12:12:12,000Z",
            "2015-12-12T12:12:12.000+",
            "2015-12-12 12:12:12.000Z",
            "2015-12-12T12:12:12.-00Z",
            "2015-02-29T12:12:12.000Z",
            "2016-12-31T23:59:60.000Z",
            "1969-12-31T23:59:59.999Z",
        ] {
            assert_eq!(parse_milliseconds(text), None, "{text}");
        }
    }
}
