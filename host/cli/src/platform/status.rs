//! `batchtask platform status`

use std::io::{self, Write};

use batchtask_platform::setup::{Actual, Finding, Plan, SetupStatus, Severity, status};
use clap::Args;
use serde_json::json;

use super::connection::prepare;
use crate::config::{Flags, SetupGroup};
use crate::table::{escape_unprintable, write_row};

#[derive(Args)]
#[command(after_help = "\
Reads the platform, and changes nothing. Explains each difference from the wanted
setup, and what loses or delays pushes.

Examples:
  batchtask platform status --config batchtask.toml
  batchtask platform status --config batchtask.toml --json | jq '.findings[].text'

Exit codes: 0 as wanted, 1 something differs, or refused, 2 usage or
configuration, 3 the platform was not reached.")]
pub(super) struct Status {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<SetupGroup>,
}

/// The platform is not set up as wanted.
#[derive(Debug, thiserror::Error)]
#[error(
    "the platform is not set up as wanted: `batchtask platform setup` shows and makes the changes"
)]
struct Differs;

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let (client, wanted) = prepare(&mut values)?;
        let actual = Actual::read(&client, &wanted).await?;
        let status = status(&wanted, &actual);
        let plan = Plan::of_setup(&wanted, &actual);
        let is_as_wanted = status.is_good() && plan.steps().is_empty();
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", as_json(&status, is_as_wanted))?;
        } else {
            write(&mut out, &status, is_as_wanted)?;
        }
        if is_as_wanted {
            Ok(())
        } else {
            Err(Differs.into())
        }
    }
}

fn write(out: &mut impl Write, status: &SetupStatus, is_as_wanted: bool) -> io::Result<()> {
    for (name, id) in [("rule", &status.rule_id), ("action", &status.action_id)] {
        let id = id.as_deref().unwrap_or("does not exist");
        write_row(out, &[name.to_owned(), escape_unprintable(id)], &[7, 0])?;
    }
    write_findings(out, &status.findings)?;
    if is_as_wanted {
        writeln!(out, "the platform is set up as wanted")?;
    }
    Ok(())
}

/// Writes a line for each finding.
pub(super) fn write_findings(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        let text = escape_unprintable(&finding.to_string());
        let severity = severity_text(finding.severity());
        write_row(out, &[severity.to_owned(), text], &[7, 0])?;
    }
    Ok(())
}

fn as_json(status: &SetupStatus, is_as_wanted: bool) -> serde_json::Value {
    let finding = |finding: &Finding| {
        json!({
            "severity": severity_text(finding.severity()),
            "text": finding.to_string(),
        })
    };
    let findings: Vec<_> = status.findings.iter().map(finding).collect();
    json!({
        "as_wanted": is_as_wanted,
        "rule_id": status.rule_id,
        "action_id": status.action_id,
        "findings": findings,
    })
}

fn severity_text(severity: Severity) -> &'static str {
    match severity {
        Severity::Fault => "fault",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}
