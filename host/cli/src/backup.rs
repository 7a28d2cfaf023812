//! `batchtask backup` and `batchtask restore`

use std::io::{self, Write};
use std::path::PathBuf;

use batchtask_sqlite::copies::{self, Copied};
use clap::Args;

use super::config::{Flags, JOURNAL, JournalGroup};

#[derive(Args)]
#[command(after_help = "\
The receiver may run. The backup contains everything that was acknowledged before
the command began. It is one file, which only its owner can read, and it appears
when it is complete. While a large journal is copied, its log cannot start over:
leave room on the disk.

Examples:
  batchtask backup batchtask-backup.db
  batchtask backup --force --journal sqlite:/srv/batchtask/batchtask.db /backups/batchtask.db

Exit codes: 0 the backup was written, 1 it was not, 2 usage or configuration.")]
pub(super) struct Backup {
    /// The file to write
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    flags: Flags<JournalGroup>,
}

#[derive(Args)]
#[command(after_help = "\
Stop the receiver first. The backup is checked before anything is changed. The
journal and its log are replaced in one step: if the command is interrupted, the
journal is either the old one or the backup. Events that arrived after the backup
are lost.

Examples:
  batchtask restore batchtask-backup.db
  batchtask restore --journal sqlite:/srv/batchtask/batchtask.db /backups/batchtask.db

Exit codes: 0 the journal was restored, 1 nothing was changed, 2 usage or
configuration.")]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,
    /// Replace the journal even if the backup is of another one
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    flags: Flags<JournalGroup>,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let copied = copies::back_up(&journal(&self.flags)?, &self.file, self.force)?;
        report("written", &copied)
    }
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let copied = copies::restore(&journal(&self.flags)?, &self.file, self.force)?;
        report("restored", &copied)
    }
}

/// The file of the journal.
fn journal(flags: &Flags<JournalGroup>) -> anyhow::Result<PathBuf> {
    let mut values = flags.values();
    let location = values.value(&JOURNAL);
    values.check()?;
    Ok(location.file()?.to_owned())
}

fn report(done: &str, copied: &Copied) -> anyhow::Result<()> {
    let Copied {
        path,
        events,
        bytes,
    } = copied;
    let path = path.display();
    Ok(writeln!(
        io::stdout(),
        "{done}: `{path}`, {events} events, {bytes} bytes"
    )?)
}
