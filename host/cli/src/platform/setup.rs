//! `batchtask platform setup`

use std::io::{self, Write};
use std::time::Duration;

use batchtask_platform::Client;
use batchtask_platform::setup::{Actual, Finding, Plan, SetupStatus, Wanted, status};
use clap::Args;

use super::backlog::Backlog;
use super::changes::Changes;
use super::confirm::Confirm;
use super::connection::prepare;
use super::status::write_findings;
use super::trial::{Pushes, WAIT_SECONDS};
use crate::config::{Flags, PLATFORM_QUEUE, PLATFORM_RULE_NAME, SetupGroup};
use crate::exit::Usage;
use crate::reader::Reader;

#[derive(Args)]
#[command(after_help = "\
Uploads the CA certificate of the receiver, creates the rule and its action, and
activates the rule. Shows the changes, asks, and changes only what differs. It
can be repeated at any time, and `batchtask platform remove` undoes it.

The URL of the action is `--url`, which must be set here, with `/notifications` and
the path secret. If `BATCHTASK_TOKEN` is set, pushes are signed. The CA is that of
`--ca`, or else the last certificate of `tls_cert`. If a CA issues the certificate
(`acme.domains`), it is the root of that CA, as far as this system has it.

Examples:
  batchtask platform setup --config batchtask.toml
  batchtask platform setup --config batchtask.toml --yes --trial
  batchtask platform setup --platform-queue batchtask-queue --new-access-code

Exit codes: 0 set up, 1 refused, failed or not confirmed, 2 usage or
configuration, 3 the platform was not reached.")]
pub(super) struct Setup {
    /// Afterwards, wait for a genuine push, as `platform trial` does
    #[arg(long)]
    trial: bool,
    /// How long the trial waits, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT_SECONDS, requires = "trial")]
    wait: u32,
    /// Write the action again even if it looks equal. Needed after the token changed, if
    /// the platform does not show tokens
    #[arg(long)]
    rewrite: bool,
    /// Create an access code for AMQP and print it. The code before it becomes invalid
    #[arg(long)]
    new_access_code: bool,
    #[command(flatten)]
    backlog: Backlog,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    flags: Flags<SetupGroup>,
}

/// The changes were made, but a fault is left, such as an expired CA certificate.
#[derive(Debug, thiserror::Error)]
#[error("the changes were made, but pushes will not arrive as wanted: see the faults above")]
struct StillFaulty;

impl Setup {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let (client, wanted) = prepare(&mut values)?;
        let has_queue = values.text(PLATFORM_QUEUE.name).is_some();
        self.check(has_queue)?;
        let rule_name = values.value(&PLATFORM_RULE_NAME);
        // Before the first change, so that no push is missed.
        let pushes = if self.trial {
            Some(Pushes::begin(Reader::open(values, None)?).await?)
        } else {
            None
        };
        let wanted = if self.rewrite {
            wanted.rewriting()
        } else {
            wanted
        };
        let changes = Changes {
            plan: Plan::of_setup(&wanted, &Actual::read(&client, &wanted).await?),
            backlog: self.backlog.step(&client, &rule_name).await?,
            has_new_access_code: self.new_access_code,
        };
        changes.carry_out(&client, &self.confirm).await?;
        report(&client, &wanted, has_queue).await?;
        match pushes {
            Some(pushes) => pushes.wait(Duration::from_secs(self.wait.into())).await,
            None => Ok(()),
        }
    }

    fn check(&self, has_queue: bool) -> Result<(), Usage> {
        if self.new_access_code && !has_queue {
            return Err(Usage(
                "`--new-access-code` needs `--platform-queue`: it is for AMQP",
            ));
        }
        if self.trial && has_queue {
            return Err(Usage(
                "`--trial` is for the webhook, and `--platform-queue` is set",
            ));
        }
        Ok(())
    }
}

/// Reads the platform again, and shows the result.
async fn report(client: &Client, wanted: &Wanted, has_queue: bool) -> anyhow::Result<()> {
    let status = status(wanted, &Actual::read(client, wanted).await?);
    let mut out = io::stdout().lock();
    if !has_queue {
        writeln!(out, "CA certificate: {}", authority_text(&status))?;
    }
    write_findings(&mut out, &status.findings)?;
    if !status.is_good() {
        return Err(StillFaulty.into());
    }
    writeln!(
        out,
        "the platform is set up; to undo it: batchtask platform remove"
    )?;
    Ok(())
}

/// Whether a push needs a verified authority is not documented, so its state is always
/// reported.
fn authority_text(status: &SetupStatus) -> &'static str {
    let mut findings = status.findings.iter();
    if findings.any(|it| matches!(it, Finding::AuthorityUnverified { .. })) {
        "uploaded, not verified. The platform does not document whether pushes need that: a trial \
         shows it"
    } else {
        "uploaded, verified"
    }
}
