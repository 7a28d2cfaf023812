//! The options for simulating task life cycles.

use clap::Args;

use super::body::Fields;
use super::life::Lives;
use super::scenario::Scenario;

/// The options of a simulation.
#[derive(Args)]
#[command(next_help_heading = "Scenario")]
pub(super) struct Play {
    /// Simulate the life cycles of tasks, each with a new id. The times end about
    /// now
    #[arg(long, value_enum, conflicts_with = "count")]
    scenario: Option<Scenario>,
    /// Number of tasks to simulate
    #[arg(long, value_name = "N", default_value_t = 1, requires = "scenario", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// How many percent of the notifications are posted again later
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "scenario", value_parser = clap::value_parser!(u32).range(..=100))]
    duplicates: u32,
    /// Post in random order
    #[arg(long, requires = "scenario")]
    disorder: bool,
    /// Make the same random choices as the run that reported this seed
    #[arg(long, value_name = "N", requires = "scenario")]
    seed: Option<u64>,
}

impl Play {
    /// Returns the life cycles, or `None` without `--scenario`.
    pub(super) fn lives(&self, fields: &Fields) -> Option<Lives> {
        // 32 bits, so that every JSON parser can represent the reported number.
        let seed = self.seed.unwrap_or_else(|| fastrand::u32(..).into());
        let lives = Lives::new(self.scenario?, self.tasks, seed, fields);
        let lives = lives.with_duplicates(self.duplicates);
        Some(if self.disorder {
            lives.shuffled()
        } else {
            lives
        })
    }
}
