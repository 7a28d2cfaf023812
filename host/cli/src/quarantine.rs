//! `batchtask quarantine`

use std::io::{self, Write};

use batchtask_notification::from_base64;
use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::admin::Operator;
use super::config::{AdminGroup, Flags};
use super::output;
use super::reader::{Item, Reader, Remote};
use super::table::{Table, escape_unprintable, write_row};

const HELP: &str = "\
The quarantine has the bodies of proven senders that are not batch-task
notifications. `list` and `show` read a receiver over its API. `replay` and `drop`
ask the admin listener of a receiver on this machine, and need the receiver's
BATCHTASK_OPERATE_TOKEN.

A replay gives a body to the receiver again, for example after an upgrade. If it is
a notification now, it is stored, and leaves the quarantine.

Examples:
  batchtask quarantine list
  batchtask quarantine show 7
  batchtask quarantine replay 7
  batchtask quarantine drop 7 8 9

Exit codes: 0 success, 1 refused, 2 usage or configuration, 3 the receiver was not
reached.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Quarantine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the bodies in the quarantine, the newest first
    #[command(after_help = HELP)]
    List(List),
    /// Show a body, and why it was rejected
    #[command(after_help = HELP)]
    Show(Show),
    /// Give bodies to the receiver again
    #[command(after_help = HELP)]
    Replay(Operate),
    /// Remove bodies from the quarantine
    #[command(after_help = HELP)]
    Drop(Operate),
}

#[derive(Args)]
struct List {
    /// Print each reject as the API's JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
struct Show {
    /// The number of the reject in the list
    seq: u64,
    /// Print the API's JSON object, on one line
    #[arg(long, conflicts_with = "body")]
    json: bool,
    /// Write only the body, byte for byte
    #[arg(long)]
    body: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
struct Operate {
    /// The numbers of the rejects in the list
    #[arg(required = true)]
    seqs: Vec<u64>,
    #[command(flatten)]
    flags: Flags<AdminGroup>,
}

/// A page of the quarantine.
#[derive(Deserialize)]
struct Page {
    rejects: Vec<Item<Reject>>,
    dropped: u64,
    next: Option<String>,
}

/// A body in the quarantine.
#[derive(Deserialize)]
struct Reject {
    seq: u64,
    received_at: String,
    reason: String,
    detail: String,
    pointer: Option<String>,
    bytes: u64,
    body: Option<String>,
    body_base64: Option<String>,
}

impl Quarantine {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::List(list) => list.run().await,
            Action::Show(show) => show.run().await,
            Action::Replay(operate) => operate.replay().await,
            Action::Drop(operate) => operate.drop().await,
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let mut table = Table::new(["SEQ", "ARRIVED", "BYTES", "REASON", "DETAIL"]);
        let mut cursor = None;
        loop {
            let page: Page = reader.quarantine(cursor.as_deref()).await?;
            for Item { value, json } in &page.rejects {
                if self.json {
                    output::line(json)?;
                }
                table.push([
                    &value.seq.to_string(),
                    &value.received_at,
                    &value.bytes.to_string(),
                    &value.reason,
                    &value.detail,
                ]);
            }
            cursor = page.next;
            if cursor.is_none() {
                if page.dropped > 0 {
                    let dropped = page.dropped;
                    output::note(&format!("dropped to make room: {dropped}"));
                }
                break;
            }
        }
        if !self.json {
            table.write(&mut io::stdout().lock())?;
        }
        Ok(())
    }
}

impl Show {
    async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let found: Item<Reject> = reader.reject(self.seq).await?;
        if self.json {
            return Ok(output::line(&found.json)?);
        }
        let reject = found.value;
        let mut out = io::stdout().lock();
        if self.body {
            return Ok(out.write_all(&reject.bytes()?)?);
        }
        for (name, value) in [
            ("seq", reject.seq.to_string()),
            ("arrived", reject.received_at),
            ("reason", reject.reason),
            ("detail", reject.detail),
            ("member", reject.pointer.unwrap_or_default()),
            ("bytes", reject.bytes.to_string()),
        ] {
            write_row(
                &mut out,
                &[name.into(), escape_unprintable(&value)],
                &[7, 0],
            )?;
        }
        let (heading, body) = match (reject.body, reject.body_base64) {
            (Some(body), _) => ("body", body),
            (None, base64) => ("body as base64", base64.unwrap_or_default()),
        };
        writeln!(out, "\n{heading}:")?;
        for line in body.lines() {
            writeln!(out, "{}", escape_unprintable(line))?;
        }
        Ok(())
    }
}

impl Reject {
    /// Returns the body as it arrived.
    fn bytes(self) -> anyhow::Result<Vec<u8>> {
        if let Some(body) = self.body {
            return Ok(body.into_bytes());
        }
        let decoded = from_base64(self.body_base64.unwrap_or_default().trim_end_matches('='));
        decoded.ok_or_else(|| anyhow::anyhow!("the receiver sent a body that is not base64"))
    }
}

impl Operate {
    async fn replay(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            outcome: String,
        }
        let operator = Operator::new(&mut self.flags.values())?;
        for seq in self.seqs {
            let path = format!("/quarantine/{seq}/replay");
            let answer: Answer = operator.ask(Method::POST, &path).await?;
            let outcome = answer.outcome;
            output::line(&format!("reject {seq}: {outcome}, and left the quarantine"))?;
        }
        Ok(())
    }

    async fn drop(self) -> anyhow::Result<()> {
        let operator = Operator::new(&mut self.flags.values())?;
        for seq in self.seqs {
            let path = format!("/quarantine/{seq}");
            let _: IgnoredAny = operator.ask(Method::DELETE, &path).await?;
            output::line(&format!("reject {seq}: dropped"))?;
        }
        Ok(())
    }
}
