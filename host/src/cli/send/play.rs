//! Which whole lives of tasks are played.

use clap::{Args, ValueEnum};

use super::body::Fields;
use super::life::Lives;

/// What is played.
#[derive(Args)]
#[command(next_help_heading = "Scenario")]
pub(super) struct Play {
    /// Post the whole lives of tasks, each with an id of its own, and with
    /// times that end about now
    #[arg(long, value_enum, conflicts_with = "count")]
    scenario: Option<Scenario>,
    /// How many tasks live
    #[arg(long, value_name = "N", default_value_t = 1, requires = "scenario", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// How many of 100 notifications are posted once more, later
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "scenario", value_parser = clap::value_parser!(u32).range(..=100))]
    duplicates: u32,
    /// Post in any order
    #[arg(long, requires = "scenario")]
    disorder: bool,
    /// Make the same choices as the run that told this seed
    #[arg(long, value_name = "N", requires = "scenario")]
    seed: Option<u64>,
}

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

impl Play {
    /// The lives, if any are to be played.
    pub(super) fn lives(&self, fields: &Fields) -> Option<Lives> {
        // Small enough for any reader of JSON.
        let seed = self.seed.unwrap_or_else(|| fastrand::u32(..).into());
        let lives = Lives::new(self.scenario?, self.tasks, seed, fields);
        let lives = lives.repeated(self.duplicates);
        Some(match self.disorder {
            true => lives.disordered(),
            false => lives,
        })
    }
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
