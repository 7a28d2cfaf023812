//! Which whole lives of tasks are played.

use clap::Args;

use super::body::Fields;
use super::life::Lives;
use super::scenario::Scenario;

/// What is played.
#[derive(Args)]
#[command(next_help_heading = "Scenario")]
pub(super) struct Play {
    /// Post the whole lives of tasks, each with an id of its own, and with
    /// times that end about now
    #[arg(long, value_enum, conflicts_with = "count")]
    scenario: Option<Scenario>,
    /// Number of tasks to simulate
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
