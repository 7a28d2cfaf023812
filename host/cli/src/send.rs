//! `batchtask send`: posts notifications as the platform would.
//!
//! - `body`: one notification, as JSON.
//! - `play`: which task life cycles; `scenario`: how they end; `life`: their
//!   pushes.
//! - `sign`: the signature of a push.
//! - `post`: posts them, so many at once and a second.
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
use super::given::{Given, checked};

#[derive(Args)]
#[command(after_help = "\
Posts the example of the platform's manual by default. If `BATCHTASK_TOKEN` is
set, it signs like the platform. If `BATCHTASK_PATH_SECRET` is set, it posts to
`/notifications/` and that secret. `batchtask --help` lists the settings.

Examples:
  batchtask send
  batchtask send --task-id upgrade-7 --status Success --status-desc 'all done'
  batchtask send --file push.json --count 100
  batchtask send --scenario life --tasks 500 --duplicates 20 --disorder
  batchtask send --scenario life --tasks 100 --rate 5
  batchtask send --url https://receiver.example.com --ca certs/ca.pem

Exit codes: 0 all were answered 200, 1 some were not, 2 usage, 3 some were not
answered at all.")]
pub(super) struct Send {
    /// Post this file, byte for byte; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Fields", "scenario"])]
    file: Option<PathBuf>,
    /// How often the notification is posted; each time but the first it is a
    /// duplicate
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Report as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    play: Play,
    #[command(flatten)]
    pace: Pace,
}

/// Not everything was answered 200.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// All were answered.
    #[error("{refused} of {sent} were refused")]
    Refused { refused: u64, sent: u64 },
    /// Some were not; of the first of them, why.
    #[error("{unanswered} of {sent} were not answered: {reason}")]
    Unanswered {
        unanswered: u64,
        sent: u64,
        reason: String,
    },
    /// It was ended by Ctrl-C.
    #[error("interrupted after {sent}")]
    Interrupted { sent: u64 },
}

/// What is posted.
enum Plan {
    /// One body, some times.
    Same { body: Bytes, count: u64 },
    /// Many.
    Lives(Lives),
}

impl Send {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let given = self.given.read()?;
        let settings = checked(&given)?;
        let path = match &settings.path_secret {
            Some(secret) => format!("/notifications/{secret}"),
            None => "/notifications".into(),
        };
        let plan = self.plan()?;
        let client = Client::new(self.server)?;
        let post = Arc::new(Post {
            target: client.uri(&path)?,
            client,
            signer: Signer::of(&settings.scheme.tokens),
            plan,
        });
        let tally = post.run(self.pace).await;
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", tally.json(&post.plan))?,
            false => tally.write(&mut out, &post.plan)?,
        }
        Ok(tally.verdict()?)
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        if let Some(lives) = self.play.lives(&self.fields) {
            return Ok(Plan::Lives(lives));
        }
        let body = match &self.file {
            Some(path) => read(path)?,
            None if self.fields.is_given() => self.fields.notification().body(),
            None => SAMPLE.into(),
        };
        let count = self.count.into();
        Ok(Plan::Same { body, count })
    }
}

fn read(path: &Path) -> anyhow::Result<Bytes> {
    let mut body = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().read_to_end(&mut body).map(|_| body),
        false => fs::read(path),
    };
    let body = read.with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(body.into())
}

impl Plan {
    /// How many requests it takes.
    fn len(&self) -> u64 {
        match self {
            Self::Same { count, .. } => *count,
            Self::Lives(lives) => lives.len(),
        }
    }

    /// The body of a request.
    fn body(&self, index: u64) -> Bytes {
        match self {
            Self::Same { body, .. } => body.clone(),
            Self::Lives(lives) => lives.body(index),
        }
    }
}
