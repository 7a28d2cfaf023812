//! `batchtask send`: posts notifications as the platform would.
//!
//! - `body`: one notification, as JSON.
//! - `play`: which task life cycles; `scenario`: how they end; `life`: their
//!   pushes.
//! - `sign`: the signature of a push.
//! - `post`: posts them, with a limit of parallel requests and a rate.
//! - `tally`: what came back.

mod body;
mod life;
mod play;
mod post;
mod scenario;
mod sign;
mod tally;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;

use self::body::{Fields, SAMPLE};
use self::life::Lives;
use self::play::Play;
use self::post::{Pace, Post};
use self::sign::Signer;
use super::client::{Client, Server};
use super::config::{ClientGroup, Flags, receiver};

#[derive(Args)]
#[command(after_help = "\
By default, posts the example from the platform's manual. If `BATCHTASK_TOKEN`
is set, signs the requests as the platform does. If `BATCHTASK_PATH_SECRET` is
set, posts to `/notifications/<secret>`. If a secret has two values, uses the first.

Examples:
  batchtask send
  batchtask send --task-id upgrade-7 --status Success --status-desc 'all done'
  batchtask send --file push.json --count 100
  batchtask send --scenario life --tasks 500 --duplicates 20 --disorder
  batchtask send --scenario life --tasks 100 --rate 5
  batchtask send --url https://receiver.example.com --ca certs/ca.pem

Exit codes: 0 all were answered 200, 1 some were refused, 2 usage or configuration,
3 some were not answered.")]
pub(super) struct Send {
    /// Post the bytes of this file; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Fields", "scenario"])]
    file: Option<PathBuf>,
    /// How many times the notification is posted; all but the first are duplicates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Print the report as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<ClientGroup>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    play: Play,
    #[command(flatten)]
    pace: Pace,
}

/// Why `send` failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// All requests were answered, but some not with 200.
    #[error("{refused} of {sent} notifications were refused")]
    Refused { refused: u64, sent: u64 },
    /// Some requests were not answered. `reason` is that of the first one.
    #[error("{unanswered} of {sent} notifications were not answered: {reason}")]
    Unanswered {
        unanswered: u64,
        sent: u64,
        reason: String,
    },
    /// Ctrl-C was pressed.
    #[error("interrupted after {sent} notifications")]
    Interrupted { sent: u64 },
}

/// The bodies to post.
enum Plan {
    /// One body, `count` times.
    Same { body: Bytes, count: u64 },
    /// The bodies of task life cycles.
    Lives(Lives),
}

impl Send {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let server = Server::new(&mut values);
        let (_, settings) = receiver(&mut values)?;
        let path = match settings.path_secrets.first() {
            Some(secret) => format!("/notifications/{secret}"),
            None => "/notifications".into(),
        };
        let plan = self.plan()?;
        let client = Client::new(server)?;
        let post = Arc::new(Post {
            target: client.uri(&path)?,
            client,
            signer: Signer::of(&settings.scheme.tokens),
            plan,
        });
        let tally = post.run(self.pace).await;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", tally.json(&post.plan))?;
        } else {
            tally.write(&mut out, &post.plan)?;
        }
        Ok(tally.verdict()?)
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        if let Some(lives) = self.play.lives(&self.fields) {
            return Ok(Plan::Lives(lives));
        }
        let body = match &self.file {
            Some(path) => read(path)?,
            None if self.fields.has_any() => self.fields.notification().body(),
            None => SAMPLE.into(),
        };
        let count = self.count.into();
        Ok(Plan::Same { body, count })
    }
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().read_to_end(&mut body).map(|_| body)
    } else {
        fs::read(path)
    };
    let body = read.with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(body.into())
}

impl Plan {
    /// The number of requests.
    fn len(&self) -> u64 {
        match self {
            Self::Same { count, .. } => *count,
            Self::Lives(lives) => lives.len(),
        }
    }

    /// Returns the body of a request.
    fn body(&self, index: u64) -> Bytes {
        match self {
            Self::Same { body, .. } => body.clone(),
            Self::Lives(lives) => lives.body(index),
        }
    }
}
