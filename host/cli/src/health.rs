//! `batchtask health`: whether the receiver on this machine is ready, for the health
//! check of a container whose image has no shell.

use std::io::{self, Write};

use clap::Args;

use super::admin::Admin;
use super::config::{ADMIN, AdminGroup, Flags};
use super::exit::Usage;

#[derive(Args)]
#[command(after_help = "\
Asks the admin listener, so it needs no token and no certificate, whatever `listen`
is. For the health check of a container, give it the configuration of `serve`.

Examples:
  batchtask health
  batchtask health --config /etc/batchtask/batchtask.toml
  batchtask health --alive --admin unix:/run/batchtask/admin

Exit codes: 0 ready, 1 not ready, 2 usage or configuration, 3 the receiver was not
reached.")]
pub(super) struct Health {
    /// Ask only whether the process is up, not whether it can take pushes
    #[arg(long)]
    alive: bool,
    #[command(flatten)]
    flags: Flags<AdminGroup>,
}

/// The receiver answered that it cannot take pushes.
#[derive(Debug, thiserror::Error)]
#[error("the receiver is not ready: {0}")]
struct NotReady(String);

impl Health {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let admin = values.value(&ADMIN);
        values.check()?;
        let admin = admin.as_deref().and_then(Admin::at).ok_or(Usage(
            "`admin` is `off`, so the receiver cannot be asked: set it to an address of this machine",
        ))?;
        let path = if self.alive { "/healthz" } else { "/readyz" };
        if let Some(reason) = admin.refusal(path).await? {
            return Err(NotReady(reason).into());
        }
        let word = if self.alive { "alive" } else { "ready" };
        Ok(writeln!(io::stdout().lock(), "{word}")?)
    }
}
