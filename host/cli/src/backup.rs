//! `batchtask backup` and `batchtask restore`

use std::io::{self, Write};
use std::path::PathBuf;

use batchtask_sqlite::copies::{self, Copied};
use clap::Args;

use super::journal::JournalUrl;

#[derive(Args)]
#[command(after_help = "\
The receiver may run: the backup has everything that was acknowledged before the
command began. It is one file for its owner alone, which is there as a whole or
not at all. While a large journal is copied, its log cannot start over: leave
room on the disk.

Examples:
  batchtask backup batchtask-backup.db
  batchtask backup --force --journal sqlite:/srv/batchtask/batchtask.db /backups/batchtask.db

Exit codes: 0 the backup is there, 1 it is not, 2 usage.")]
pub(super) struct Backup {
    /// The file to write
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    journal: JournalUrl,
}

#[derive(Args)]
#[command(after_help = "\
Stop the receiver first. The backup is checked before anything is changed. The
journal and its log are replaced at once: if the command is cut off, the journal
is the former one or that of the backup. What arrived after the backup is gone.

Examples:
  batchtask restore batchtask-backup.db
  batchtask restore --journal sqlite:/srv/batchtask/batchtask.db /backups/batchtask.db

Exit codes: 0 the backup is in place, 1 nothing was changed, 2 usage.")]
pub(super) struct Restore {
    /// The backup
    file: PathBuf,
    /// Replace another journal than that of the backup, too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    journal: JournalUrl,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let copied = copies::back_up(&self.journal.path()?, &self.file, self.force)?;
        report(&copied)
    }
}

impl Restore {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let copied = copies::restore(&self.journal.path()?, &self.file, self.force)?;
        report(&copied)
    }
}

fn report(copied: &Copied) -> anyhow::Result<()> {
    let Copied {
        path,
        events,
        bytes,
    } = copied;
    let path = path.display();
    Ok(writeln!(
        io::stdout(),
        "`{path}`: {events} events, {bytes} bytes"
    )?)
}
