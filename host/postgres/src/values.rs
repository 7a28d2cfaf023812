//! Conversions between the contract's types and those of the tables.

use std::borrow::Cow;

use batchtask_journal::{EventFlags, Source};

/// The bit of each flag in the tables. Never change one.
const FLAG_BITS: [(EventFlags, i32); 8] = [
    (EventFlags::TIME_MISMATCH, 1 << 0),
    (EventFlags::CLOCK_SKEW, 1 << 1),
    (EventFlags::UNKNOWN_STATUS, 1 << 2),
    (EventFlags::UNKNOWN_TYPE, 1 << 3),
    (EventFlags::LEGACY_FORM, 1 << 4),
    (EventFlags::NO_EVENT_TIME, 1 << 5),
    (EventFlags::EXTRA_FIELDS, 1 << 6),
    (EventFlags::IRREGULAR_FIELDS, 1 << 7),
];

/// The number of each source in the tables. Never change one.
const SOURCE_NUMBERS: [(Source, i16); 3] =
    [(Source::Push, 0), (Source::Amqp, 1), (Source::Reconcile, 2)];

/// Begins the two characters that stand for NUL, or for this character itself.
/// PostgreSQL cannot store NUL. The order of texts stays the same.
const ESCAPE: char = '\u{1}';
const ESCAPED_NUL: &str = "\u{1}\u{2}";
const ESCAPED_ESCAPE: &str = "\u{1}\u{3}";

/// Returns a text as it is stored. Almost every text is stored unchanged.
///
/// Two texts contain one another if and only if their stored forms do, except
/// that U+0002 and U+0003 at the start of a search text also match a part of an
/// escape.
pub(crate) fn to_stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    // The order matters: the first replacement does not add a NUL.
    let text = text.replace(ESCAPE, ESCAPED_ESCAPE);
    Cow::Owned(text.replace('\0', ESCAPED_NUL))
}

/// Returns the text of a stored text.
pub(crate) fn from_stored(text: String) -> String {
    if !text.contains(ESCAPE) {
        return text;
    }
    let mut found = String::with_capacity(text.len());
    let mut is_escaped = false;
    for character in text.chars() {
        match (is_escaped, character) {
            (false, ESCAPE) => {}
            (true, '\u{2}') => found.push('\0'),
            (true, _) => found.push(ESCAPE),
            (false, other) => found.push(other),
        }
        is_escaped = !is_escaped && character == ESCAPE;
    }
    found
}

/// Returns the bits of flags in the tables.
pub(crate) fn flags_to_bits(flags: EventFlags) -> i32 {
    let present = FLAG_BITS.iter().filter(|(flag, _)| flags & *flag == *flag);
    present.fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the flags of bits in the tables.
pub(crate) fn flags_from_bits(bits: i32) -> EventFlags {
    let present = FLAG_BITS.iter().filter(|(_, bit)| bits & bit != 0);
    present.fold(EventFlags::empty(), |flags, (flag, _)| flags | *flag)
}

/// Returns the number of a source in the tables.
pub(crate) fn source_to_number(source: Source) -> i16 {
    let mut numbers = SOURCE_NUMBERS.iter();
    let found = numbers.find(|(known, _)| *known == source);
    found.map_or(0, |(_, number)| *number)
}

/// Returns the source of a number in the tables. An unknown number counts as a
/// push.
pub(crate) fn source_from_number(number: i16) -> Source {
    let mut sources = SOURCE_NUMBERS.iter();
    let found = sources.find(|(_, known)| *known == number);
    found.map_or(Source::Push, |(source, _)| *source)
}

/// Converts a number for PostgreSQL. A number that is too large becomes the
/// greatest possible one; times of entries never are, because they were checked.
pub(crate) fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a number from PostgreSQL. It was not negative when it was written.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 12] = [
        "",
        "\0",
        "\0\0",
        "\0\u{1}",
        "\u{1}",
        "\u{1}\0",
        "\u{1}\u{2}",
        "\u{1}\u{3}",
        "\u{2}",
        "\u{3}",
        "a\0b",
        "日本",
    ];

    #[test]
    fn stored_texts_have_no_nul_and_come_back() {
        for text in TEXTS {
            let stored = to_stored(text);
            assert!(!stored.contains('\0'), "{text:?}");
            assert_eq!(from_stored(stored.into_owned()), text);
        }
    }

    #[test]
    fn stored_texts_keep_their_order() {
        for a in TEXTS {
            for b in TEXTS {
                assert_eq!(a.cmp(b), to_stored(a).cmp(&to_stored(b)), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn every_flag_has_its_bit() {
        let all = EventFlags::from_bits_retain(0b1111_1111);
        assert_eq!(flags_from_bits(i32::MAX), all);
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
