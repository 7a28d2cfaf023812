//! How the simulated life cycle of a task ends.

use clap::ValueEnum;

/// How tasks end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Most tasks succeed, and some end in each of the other ways.
    Life,
    /// All tasks succeed.
    Success,
    /// All tasks succeed on some devices only.
    Partial,
    /// All tasks fail.
    Fail,
    /// All tasks fail, and succeed after a retry.
    Retry,
    /// All tasks are stopped.
    Stop,
}

impl Scenario {
    /// The ends of tasks in [`Scenario::Life`]. One of them is chosen at random.
    const ENDS: [Self; 10] = [
        Self::Success,
        Self::Success,
        Self::Success,
        Self::Success,
        Self::Success,
        Self::Success,
        Self::Partial,
        Self::Fail,
        Self::Retry,
        Self::Stop,
    ];

    /// Returns the last statuses of a task, after it was processed.
    pub(super) fn end(self, random: &mut fastrand::Rng) -> &'static [&'static str] {
        match self {
            Self::Life => random.choice(Self::ENDS).map_or(&[], |end| end.end(random)),
            Self::Success => &["Success"],
            Self::Partial => &["PartialSuccess"],
            Self::Fail => &["Fail"],
            Self::Retry => &["Fail", "Waitting", "Processing", "Success"],
            Self::Stop => &["Stopping", "Stopped"],
        }
    }
}
