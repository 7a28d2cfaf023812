//! `batchtask check`

use std::io::{self, Write};

use clap::Args;

use super::config::{Flags, HostConfig, HostGroup};
use super::serve::examine;
use super::warnings::warnings;

#[derive(Args)]
#[command(after_help = "\
Checks flags, variables and the configuration file, and what they name: addresses,
certificates, the component and the journal. Reports all faults at once, and shows
no secret. Changes nothing. A receiver may be running with the same configuration.

Examples:
  batchtask check --config batchtask.toml
  batchtask check --config batchtask.toml && systemctl reload batchtask

Exit codes: 0 valid, 2 invalid.")]
pub(super) struct Check {
    #[command(flatten)]
    flags: Flags<HostGroup>,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = HostConfig::new(self.flags.values())?;
        let examined = examine(config).await?;
        let config = &examined.config;
        let warnings = warnings(config, examined.address, false);
        for text in warnings.iter().chain(&examined.warnings) {
            writeln!(io::stderr(), "warning: {text}")?;
        }
        let mut out = io::stdout().lock();
        writeln!(out, "set, all other options have their defaults:")?;
        for line in config.values.lines() {
            writeln!(out, "  {line}")?;
        }
        Ok(writeln!(out, "the configuration is valid")?)
    }
}
