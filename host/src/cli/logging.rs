//! Log lines, on stderr.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Args)]
pub(super) struct Logging {
    /// What a log line looks like.
    #[arg(long, value_enum, default_value = "text", env = "BATCHTASK_LOG_FORMAT")]
    log_format: Format,
    /// Which lines are logged: `error`, `warn`, `info`, `debug`, `trace`, or a
    /// filter such as `info,batchtask=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "BATCHTASK_LOG"
    )]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Logging {
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|error| anyhow::anyhow!("`--log {}`: {error}", self.log))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
            Format::Json => lines.json().flatten_event(true).init(),
        }
        Ok(())
    }
}
