//! Values of the contract as numbers of a database, the same in every journal.

use crate::{EventFlags, Source, StepFlags};

/// The bit of each flag. Never change one.
const FLAG_BITS: [(EventFlags, u16); 9] = [
    (EventFlags::TIME_MISMATCH, 1 << 0),
    (EventFlags::CLOCK_SKEW, 1 << 1),
    (EventFlags::UNKNOWN_STATUS, 1 << 2),
    (EventFlags::UNKNOWN_TYPE, 1 << 3),
    (EventFlags::LEGACY_FORM, 1 << 4),
    (EventFlags::NO_EVENT_TIME, 1 << 5),
    (EventFlags::EXTRA_FIELDS, 1 << 6),
    (EventFlags::IRREGULAR_FIELDS, 1 << 7),
    (EventFlags::RECONCILED, 1 << 8),
];

/// The bit of each flag of steps. Never change one.
const STEP_BITS: [(StepFlags, u8); 3] = [
    (StepFlags::GAP, 1 << 0),
    (StepFlags::REOPENED, 1 << 1),
    (StepFlags::UNEXPECTED_STEP, 1 << 2),
];

/// The number of each source. Never change one.
const SOURCE_NUMBERS: [(Source, u8); 3] =
    [(Source::Push, 0), (Source::Amqp, 1), (Source::Reconcile, 2)];

/// Returns the bits of flags.
pub fn flags_to_bits(flags: EventFlags) -> u16 {
    let present = FLAG_BITS.iter().filter(|(flag, _)| flags & *flag == *flag);
    present.fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the flags of bits. Unknown bits are ignored.
pub fn flags_from_bits(bits: impl Into<i64>) -> EventFlags {
    let bits = bits.into();
    let present = FLAG_BITS.iter();
    let present = present.filter(|(_, bit)| bits & i64::from(*bit) != 0);
    present.fold(EventFlags::empty(), |flags, (flag, _)| flags | *flag)
}

/// Returns the bits of flags of steps.
pub fn steps_to_bits(flags: StepFlags) -> u8 {
    let present = STEP_BITS.iter().filter(|(flag, _)| flags & *flag == *flag);
    present.fold(0, |bits, (_, bit)| bits | bit)
}

/// Returns the flags of steps of bits. Unknown bits are ignored.
pub fn steps_from_bits(bits: impl Into<i64>) -> StepFlags {
    let bits = bits.into();
    let present = STEP_BITS.iter();
    let present = present.filter(|(_, bit)| bits & i64::from(*bit) != 0);
    present.fold(StepFlags::empty(), |flags, (flag, _)| flags | *flag)
}

/// Returns the number of a source.
pub fn source_to_number(source: Source) -> u8 {
    let mut numbers = SOURCE_NUMBERS.iter();
    let found = numbers.find(|(known, _)| *known == source);
    found.map_or(0, |(_, number)| *number)
}

/// Returns the source of a number. An unknown number counts as a push.
pub fn source_from_number(number: impl Into<i64>) -> Source {
    let number = number.into();
    let mut sources = SOURCE_NUMBERS.iter();
    let found = sources.find(|(_, known)| i64::from(*known) == number);
    found.map_or(Source::Push, |(source, _)| *source)
}

/// Converts a number for a database. A number that is too large becomes the greatest
/// possible one; times of entries never are, because they were checked.
pub fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Converts a number from a database. It was not negative when it was written.
pub fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_bit() {
        let all = EventFlags::from_bits_retain(0b1_1111_1111);
        assert_eq!(flags_from_bits(i64::MAX), all);
        assert_eq!(flags_from_bits(i32::MAX), all);
        for (flag, bit) in FLAG_BITS {
            assert_eq!(flags_to_bits(flag), bit);
            assert_eq!(flags_from_bits(bit), flag);
        }
    }

    #[test]
    fn every_flag_of_steps_has_its_bit() {
        assert_eq!(
            steps_from_bits(i64::MAX),
            StepFlags::from_bits_retain(0b111)
        );
        for (flag, bit) in STEP_BITS {
            assert_eq!(steps_to_bits(flag), bit);
            assert_eq!(steps_from_bits(bit), flag);
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
