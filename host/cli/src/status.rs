//! `batchtask status`: what an operator looks at first.
//!
//! - `view`: the answers as lines or as JSON.

mod view;

use std::io;

use clap::Args;

use self::view::View;
use super::admin::Admin;
use super::reader::{Reader, Remote};

#[derive(Args)]
#[command(after_help = "\
Shows whether the receiver is ready for pushes, its notices, the tasks by status,
the last notification, the quarantine, and figures of the journal. Readiness and
figures come from the admin listener: name it with `--admin`, or set `admin` in the
configuration file. If neither it nor the URL is set, the default is tried.

Examples:
  batchtask status
  batchtask status --config batchtask.toml --admin 127.0.0.1:9090
  batchtask status --json | jq -r '.problems[]'

Exit codes: 0 all is well, 1 something needs attention, or refused, 2 usage or
configuration, 3 the receiver was not reached.")]
pub(super) struct Status {
    /// The admin listener of the receiver, `ADDRESS:PORT` or `unix:PATH`
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Something needs attention.
#[derive(Debug, thiserror::Error)]
#[error("the receiver needs attention: {0}")]
struct NeedsAttention(String);

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let configured = self.remote.configured("admin");
        let admin = match self.admin.or(configured) {
            Some(text) => Admin::at(&text),
            None => self.remote.default_admin().await,
        };
        let view = View::read(&reader, admin.as_ref()).await?;
        let mut out = io::stdout().lock();
        if self.json {
            view.write_json(&mut out)?;
        } else {
            view.write(&mut out)?;
        }
        match view.problems().first() {
            Some(problem) => Err(NeedsAttention(problem.clone()).into()),
            None => Ok(()),
        }
    }
}
