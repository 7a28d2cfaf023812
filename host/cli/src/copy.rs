//! `batchtask journal copy`

use std::io::{self, Write};

use batchtask_journal::copy::record::Part;
use batchtask_journal::copy::{Copied, Phase, copy};
use batchtask_notification::hex;
use clap::{Args, Subcommand};

use super::exit::Usage;
use super::journal::{self, Location};
use super::progress::progress;

#[derive(Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Copy a whole journal to another place or another database
    Copy(Copy),
}

#[derive(Args)]
#[command(after_help = "\
Stop all receivers that use one of the two journals first. A file is locked. A
database is not, but the copy fails if something writes to it.

Copies everything: events with their numbers, counts, times of arrival, rejects,
used signatures, and the digests of removed events. Then reads both journals again,
and compares counts and digests. The target must be empty. If the command is
interrupted, the same command continues. Until it has ended, the target cannot be
used by a receiver. A journal of an earlier version is migrated before it is copied.

Passwords are read from PGPASSWORD or from the file that PGPASSFILE names.

Examples:
  batchtask journal copy sqlite:batchtask.db postgres://receiver@db.example.com/batchtask
  batchtask journal copy postgres://receiver@db.example.com/batchtask sqlite:copy.db

Exit codes: 0 copied and the same, 1 not, 2 usage.")]
struct Copy {
    /// The journal to copy: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(value_parser = location)]
    from: Location,
    /// The journal to copy to, which is created if it does not exist
    #[arg(value_parser = location)]
    to: Location,
}

impl Journal {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Copy(copy) => copy.run().await,
        }
    }
}

impl Copy {
    async fn run(self) -> anyhow::Result<()> {
        if self.from.has_password() || self.to.has_password() {
            return Err(Usage(
                "a URL has a password, which other users of this machine can see: set PGPASSWORD \
                 or PGPASSFILE",
            )
            .into());
        }
        let from = self.from.content().await?;
        let to = self.to.content_or_new().await?;
        let bar = progress(0);
        let mut report = |phase, done, total| {
            bar.set_message(match phase {
                Phase::Copying => "copying ",
                Phase::Verifying => "comparing ",
            });
            bar.set_length(total);
            bar.set_position(done);
        };
        let copied = copy(&*from, &*to, &mut report).await;
        bar.finish_and_clear();
        Ok(write(&mut io::stdout().lock(), &copied?)?)
    }
}

fn write(out: &mut impl Write, copied: &Copied) -> io::Result<()> {
    let parts = Part::ALL.into_iter().zip(copied.counts);
    let parts: Vec<String> = parts
        .map(|(part, count)| format!("{count} {}", part.name()))
        .collect();
    writeln!(out, "copied and compared: {}", parts.join(", "))?;
    writeln!(out, "SHA-256 of the content: {}", hex(&copied.digest))
}

/// Parses the URL of a journal.
fn location(url: &str) -> Result<Location, String> {
    journal::parse(url).map_err(|error| match error.as_str() {
        "" => "it must be `sqlite:PATH` or `postgres://USER@HOST/DATABASE`".into(),
        _ => error,
    })
}
