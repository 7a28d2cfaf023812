//! Notable facts about a notification.

use core::ops::{BitOr, BitOrAssign};

/// A set of notable facts about a notification. They are not reasons to refuse
/// it.
///
/// The bits are in the order of `event-flags` in the WIT package, so
/// [`Flags::bits`] converts between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

/// The names of the flags, in the order of their bits.
const NAMES: [&str; 9] = [
    "time_mismatch",
    "clock_skew",
    "unknown_status",
    "unknown_type",
    "legacy_form",
    "no_event_time",
    "extra_fields",
    "irregular_fields",
    "reconciled",
];

/// The set of all flags, as bits.
const KNOWN_BITS: u16 = 0b1_1111_1111;

impl Flags {
    /// `event_time` and `event_time_ms` name different seconds.
    /// `event_time_ms` is used.
    pub const TIME_MISMATCH: Self = Self(1 << 0);
    /// The event is dated more than [`MAX_AHEAD_MS`](crate::MAX_AHEAD_MS)
    /// after its arrival, so the clock of the platform or of this host is wrong.
    /// The event keeps its date, and is ordered by it.
    pub const CLOCK_SKEW: Self = Self(1 << 1);
    /// The platform does not document this status.
    pub const UNKNOWN_STATUS: Self = Self(1 << 2);
    /// The platform does not document this task type.
    pub const UNKNOWN_TYPE: Self = Self(1 << 3);
    /// The notification has the form of 2020, `batchtask.status`.
    pub const LEGACY_FORM: Self = Self(1 << 4);
    /// `event_time` is missing or cannot be read. If `event_time_ms` cannot be
    /// read either, the event is ordered by its arrival.
    pub const NO_EVENT_TIME: Self = Self(1 << 5);
    /// The notification has members that the platform does not document.
    pub const EXTRA_FIELDS: Self = Self(1 << 6);
    /// A member that is not essential is missing, repeated, or not of its
    /// documented form. It is kept as received.
    pub const IRREGULAR_FIELDS: Self = Self(1 << 7);
    /// No notification reported the change: the platform was asked for it. See
    /// [`Event::reconciled`](crate::Event::reconciled).
    pub const RECONCILED: Self = Self(1 << 8);

    /// Returns the empty set.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Returns the set with these bits. Unknown bits are dropped.
    pub const fn from_bits_truncate(bits: u16) -> Self {
        Self(bits & KNOWN_BITS)
    }

    /// Returns the set as bits. `TIME_MISMATCH` is the lowest.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this set contains all flags of `other`.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the set of the flag with this name, or `None` if there is no such
    /// flag.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut names = (0u32..).zip(NAMES);
        let (bit, _) = names.find(|&(_, known)| known == name)?;
        Some(Self(1 << bit))
    }

    /// Returns these flags if `condition` is true, else the empty set.
    pub(crate) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::empty() }
    }

    /// Returns the names of the flags in the set, such as `time_mismatch`, in
    /// the order of their bits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0u32..)
            .zip(NAMES.iter().copied())
            .filter(move |&(bit, _)| self.0 >> bit & 1 == 1)
            .map(|(_, name)| name)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_bit_has_its_name() {
        let all = Flags::from_bits_truncate(u16::MAX);
        assert_eq!(all.names().collect::<Vec<_>>(), NAMES);
        assert_eq!(all.bits(), 0b1_1111_1111, "others are dropped");
        assert_eq!(Flags::of_name("late"), None);
        for (flag, name) in [
            (Flags::TIME_MISMATCH, "time_mismatch"),
            (Flags::CLOCK_SKEW, "clock_skew"),
            (Flags::UNKNOWN_STATUS, "unknown_status"),
            (Flags::UNKNOWN_TYPE, "unknown_type"),
            (Flags::LEGACY_FORM, "legacy_form"),
            (Flags::NO_EVENT_TIME, "no_event_time"),
            (Flags::EXTRA_FIELDS, "extra_fields"),
            (Flags::IRREGULAR_FIELDS, "irregular_fields"),
            (Flags::RECONCILED, "reconciled"),
        ] {
            assert_eq!(flag.names().collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn sets() {
        let mut flags = Flags::default();
        assert!(flags.is_empty());
        assert_eq!(flags.names().next(), None);
        flags |= Flags::LEGACY_FORM | Flags::CLOCK_SKEW;
        assert_eq!(flags.bits(), 0b1_0010);
        assert!(!flags.is_empty());
        // A flag that is in both sets stays.
        assert_eq!(flags | Flags::CLOCK_SKEW, flags);
        flags |= Flags::CLOCK_SKEW;
        assert_eq!(flags.bits(), 0b1_0010);
        assert!(flags.contains(Flags::CLOCK_SKEW));
        assert!(!flags.contains(Flags::CLOCK_SKEW | Flags::EXTRA_FIELDS));
    }
}
