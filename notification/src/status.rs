//! The meaning of a status word.

use core::ops::RangeInclusive;

/// A status that the platform documents, or [`Unknown`](Self::Unknown).
///
/// The text of a status is always stored beside this, because an unknown word
/// must not be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The task is being set up. Documented for the batch-task API, not for
    /// pushes.
    Initializing,
    /// The task waits to be executed. The spelling is the platform's.
    Waitting,
    /// The task is being executed.
    Processing,
    /// The task is being stopped. Documented for the batch-task API, not for
    /// pushes.
    Stopping,
    /// Only some subtasks were executed.
    PartialSuccess,
    /// The task failed.
    Fail,
    /// The task was executed.
    Success,
    /// The task was stopped.
    Stopped,
    /// Any other word.
    Unknown,
}

impl Status {
    /// Parses a status word. Upper and lower case matter.
    pub fn of(word: &str) -> Self {
        match word {
            "Initializing" => Self::Initializing,
            "Waitting" => Self::Waitting,
            "Processing" => Self::Processing,
            "Stopping" => Self::Stopping,
            "PartialSuccess" => Self::PartialSuccess,
            "Fail" => Self::Fail,
            "Success" => Self::Success,
            "Stopped" => Self::Stopped,
            _ => Self::Unknown,
        }
    }

    /// Returns the rank, from 0 to 5, which orders changes with the same time: a
    /// status that is later in the life of a task has a greater rank. An unknown
    /// status has the rank of [`Processing`](Self::Processing), so that it does
    /// not end a task.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Initializing => 0,
            Self::Waitting => 1,
            Self::Processing | Self::Unknown => 2,
            Self::Stopping => 3,
            Self::PartialSuccess | Self::Fail => 4,
            Self::Success | Self::Stopped => 5,
        }
    }

    /// Returns the class of the status.
    pub const fn class(self) -> Class {
        Class::of_rank(self.rank())
    }
}

/// Whether more changes of a task are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The task has not ended.
    Open,
    /// The task failed, at least in part, and may be retried: the platform
    /// accepts a retry only from `Fail` and `PartialSuccess`.
    Retryable,
    /// The task has ended, and will not change again.
    Final,
}

impl Class {
    /// Returns the class of the statuses with this rank, see [`Status::rank`]. A
    /// rank above 5 counts as 5.
    pub const fn of_rank(rank: u8) -> Self {
        match rank {
            0..=3 => Self::Open,
            4 => Self::Retryable,
            _ => Self::Final,
        }
    }

    /// Returns the ranks that belong to the class.
    pub const fn ranks(self) -> RangeInclusive<u8> {
        match self {
            Self::Open => 0..=3,
            Self::Retryable => 4..=4,
            Self::Final => 5..=5,
        }
    }

    /// Returns `open`, `retryable` or `final`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retryable => "retryable",
            Self::Final => "final",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_rank_and_class() {
        for (word, rank, class) in [
            ("Initializing", 0, "open"),
            ("Waitting", 1, "open"),
            ("Processing", 2, "open"),
            ("Stopping", 3, "open"),
            ("PartialSuccess", 4, "retryable"),
            ("Fail", 4, "retryable"),
            ("Success", 5, "final"),
            ("Stopped", 5, "final"),
            // The usual spelling and another case are different words.
            ("Waiting", 2, "open"),
            ("success", 2, "open"),
            ("", 2, "open"),
        ] {
            let status = Status::of(word);
            assert_eq!(status.rank(), rank, "{word}");
            assert_eq!(status.class().name(), class, "{word}");
        }
    }

    #[test]
    fn ranks_of_classes_are_those_of_their_members() {
        for rank in 0..=5 {
            for class in [Class::Open, Class::Retryable, Class::Final] {
                assert_eq!(class.ranks().contains(&rank), class == Class::of_rank(rank));
            }
        }
        assert_eq!(Class::of_rank(u8::MAX), Class::Final);
    }
}
