//! Conversions between the contract's types and SQLite's.

use batchtask_journal::page::Page;
use batchtask_journal::{Error, EventFlags, Source};
use rusqlite::ErrorCode;

/// The bit of each flag in the file. Never change one.
const FLAG_BITS: [(EventFlags, i64); 8] = [
    (EventFlags::TIME_MISMATCH, 1 << 0),
    (EventFlags::CLOCK_SKEW, 1 << 1),
    (EventFlags::UNKNOWN_STATUS, 1 << 2),
    (EventFlags::UNKNOWN_TYPE, 1 << 3),
    (EventFlags::LEGACY_FORM, 1 << 4),
    (EventFlags::NO_EVENT_TIME, 1 << 5),
    (EventFlags::EXTRA_FIELDS, 1 << 6),
    (EventFlags::IRREGULAR_FIELDS, 1 << 7),
];

/// The number of each source in the file. Never change one.
const SOURCE_NUMBERS: [(Source, i64); 3] =
    [(Source::Push, 0), (Source::Amqp, 1), (Source::Reconcile, 2)];

/// Returns the bits of flags in the file.
pub(crate) fn flags_to_bits(flags: EventFlags) -> i64 {
    let present = FLAG_BITS.iter().filter(|(flag, _)| flags & *flag == *flag);
    present.fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the flags of bits in the file.
pub(crate) fn flags_from_bits(bits: i64) -> EventFlags {
    let present = FLAG_BITS.iter().filter(|(_, bit)| bits & bit != 0);
    present.fold(EventFlags::empty(), |flags, (flag, _)| flags | *flag)
}

/// Returns the number of a source in the file.
pub(crate) fn source_to_number(source: Source) -> i64 {
    let mut numbers = SOURCE_NUMBERS.iter();
    let found = numbers.find(|(known, _)| *known == source);
    found.map_or(0, |(_, number)| *number)
}

/// Returns the source of a number in the file. An unknown number counts as a
/// push.
pub(crate) fn source_from_number(number: i64) -> Source {
    let mut sources = SOURCE_NUMBERS.iter();
    let found = sources.find(|(_, known)| *known == number);
    found.map_or(Source::Push, |(source, _)| *source)
}

/// Returns how many rows to query for a page.
pub(crate) fn rows<T>(page: &Page<T>) -> i64 {
    page.rows() as i64
}

/// Converts a number for SQLite. A number that is too large becomes the greatest
/// possible one; times of entries never are, because they were checked.
pub(crate) fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a number from SQLite. It was not negative when it was written.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Converts an error of SQLite. `message` says what failed.
pub(crate) fn sqlite_error(message: &str, error: &rusqlite::Error) -> Error {
    let text = format!("{message}: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_bit() {
        let all = EventFlags::from_bits_retain(0b1111_1111);
        assert_eq!(flags_from_bits(i64::MAX), all);
        for (flag, bit) in FLAG_BITS {
            assert_eq!(flags_to_bits(flag), bit);
            assert_eq!(flags_from_bits(bit), flag);
        }
    }

    #[test]
    fn every_source_has_its_number() {
        for (source, number) in SOURCE_NUMBERS {
            assert_eq!(source_to_number(source), number);
            assert_eq!(source_from_number(number), source);
        }
    }
}
