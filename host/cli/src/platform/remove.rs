//! `batchtask platform remove`

use batchtask_platform::setup::{Actual, Plan};
use clap::Args;

use super::backlog::BacklogStep;
use super::changes::Changes;
use super::confirm::Confirm;
use super::connection::prepare;
use crate::config::{Flags, PLATFORM_RULE_NAME, SetupGroup};

#[derive(Args)]
#[command(after_help = "\
Needs the same options as `setup`. Removes what a setup created: the action and the
rule, then the queue or the CA certificate if no other rule uses it, and the
backlog policy if it has the name of the rule. A verified CA certificate stays,
because devices may depend on it. Shows the changes, and asks.

Examples:
  batchtask platform remove --config batchtask.toml
  batchtask platform remove --config batchtask.toml --yes

Exit codes: 0 removed, 1 refused, failed or not confirmed, 2 usage or
configuration, 3 the platform was not reached.")]
pub(super) struct Remove {
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    flags: Flags<SetupGroup>,
}

impl Remove {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let (client, wanted) = prepare(&mut values)?;
        let rule_name = values.value(&PLATFORM_RULE_NAME);
        let changes = Changes {
            plan: Plan::of_removal(&wanted, &Actual::read(&client, &wanted).await?),
            backlog: BacklogStep::removal(&client, &rule_name).await?,
            has_new_access_code: false,
        };
        changes.carry_out(&client, &self.confirm).await
    }
}
