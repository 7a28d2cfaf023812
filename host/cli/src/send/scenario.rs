//! How the life of a task ends.

use clap::ValueEnum;

/// How tasks end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Most with success, some in each of the other ways.
    Life,
    /// With success.
    Success,
    /// With success on some devices.
    Partial,
    /// With a failure.
    Fail,
    /// With a failure, and after a retry with success.
    Retry,
    /// Stopped.
    Stop,
}

impl Scenario {
    /// How tasks end in [`Scenario::Life`], each as often as it stands here.
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

    /// The statuses that a task ends with, once it was processed.
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
