//! What a status word means.

use core::ops::RangeInclusive;

/// The status of a task, as far as the platform documents it.
///
/// The text of a status is always kept beside this: a word that is not known
/// must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Being set up. Documented for the batch-task API, not for the push.
    Initializing,
    /// Waiting to be executed. The spelling is the platform's.
    Waitting,
    /// Being executed.
    Processing,
    /// Being stopped. Documented for the batch-task API, not for the push.
    Stopping,
    /// Only some of its subtasks were executed.
    PartialSuccess,
    /// It failed.
    Fail,
    /// It was executed.
    Success,
    /// It was stopped.
    Stopped,
    /// Any other word.
    Unknown,
}

impl Status {
    /// The status that a word stands for; case counts.
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

    /// Orders changes of one instant, from 0 to 5: what comes later in the
    /// life of a task is greater. An unknown status counts as
    /// [`Processing`](Self::Processing): it neither opens nor closes a task.
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

    /// Whether more is to be expected of a task with this status.
    pub const fn class(self) -> Class {
        Class::of_rank(self.rank())
    }
}

/// Whether more is to be expected of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It is not done.
    Open,
    /// It is done, not entirely with success, and may be retried: the platform
    /// takes a retry from `Fail` and `PartialSuccess` only.
    Retryable,
    /// It is done for good.
    Final,
}

impl Class {
    /// The class of statuses with this rank, see [`Status::rank`]; a rank
    /// above 5 counts as 5.
    pub const fn of_rank(rank: u8) -> Self {
        match rank {
            0..=3 => Self::Open,
            4 => Self::Retryable,
            _ => Self::Final,
        }
    }

    /// The ranks that belong to the class.
    pub const fn ranks(self) -> RangeInclusive<u8> {
        match self {
            Self::Open => 0..=3,
            Self::Retryable => 4..=4,
            Self::Final => 5..=5,
        }
    }

    /// `open`, `retryable` or `final`.
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
            // Neither the right spelling nor another case is the word.
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
