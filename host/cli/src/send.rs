//! `batchtask send`: posts notifications as the platform would, or publishes them over AMQP.
//!
//! - `body`: one notification, as JSON; `exported`: those of an export.
//! - `play`: which task life cycles; `scenario`: how they end; `life`: their
//!   pushes.
//! - `sign`: the signature of a push.
//! - `post`: posts them, with a limit of parallel requests and a rate.
//! - `tally`: what came back.

mod body;
mod exported;
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
use batchtask_amqp::{PublishError, Publisher};
use bytes::Bytes;
use clap::Args;

use self::body::{Fields, SAMPLE};
use self::life::Lives;
use self::play::Play;
use self::post::{Pace, Post, Target};
use self::sign::Signer;
use super::client::{Client, Server};
use super::config::{AMQP_URL, Flags, SendGroup, Values, amqp, receiver};

#[derive(Args)]
#[command(after_help = "\
By default, posts the example from the platform's manual. If `BATCHTASK_TOKEN`
is set, signs the requests as the platform does. If `BATCHTASK_PATH_SECRET` is
set, posts to `/notifications/<secret>`. If a secret has two values, uses the first.

With `--amqp`, publishes to the first of `--amqp-queues` at a broker instead, with
the access key and an access code of the configuration.

Examples:
  batchtask send
  batchtask send --task-id upgrade-7 --status Success --status-desc 'all done'
  batchtask send --file push.json --count 100
  batchtask send --events events.jsonl --url https://other.example.com
  batchtask send --scenario life --tasks 500 --duplicates 20 --disorder
  batchtask send --scenario life --tasks 100 --rate 5
  batchtask send --url https://receiver.example.com --ca certs/ca.pem
  batchtask send --amqp amqps://localhost --amqp-ca certs/ca.pem --count 1000

Exit codes: 0 all were answered 200, 1 some were refused, 2 usage or configuration,
3 some were not answered, 130 interrupted.")]
pub(super) struct Send {
    /// Post the bytes of this file; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Fields", "scenario"])]
    file: Option<PathBuf>,
    /// Post the notifications in this file of `export events --format jsonl` again, to
    /// another receiver for example; `-` is the standard input. What a receiver has already
    /// is a duplicate. What was found by asking the platform is left out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["Fields", "scenario", "file", "count"])]
    events: Option<PathBuf>,
    /// How many times the notification is posted; all but the first are duplicates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Print the report as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<SendGroup>,
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
    /// The broker cannot be used.
    #[error("cannot send over AMQP: {error}")]
    NoBroker { error: PublishError },
    /// Ctrl-C was pressed.
    #[error("interrupted after {sent} notifications")]
    Interrupted { sent: u64 },
}

/// The bodies to post.
enum Plan {
    /// One body, `count` times.
    Same { body: Bytes, count: u64 },
    /// These bodies, one after the other.
    Bodies(Vec<Bytes>),
    /// The bodies of task life cycles.
    Lives(Lives),
}

impl Send {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let values = self.flags.values();
        let plan = self.plan()?;
        let target = if self.flags.sets(AMQP_URL.name) {
            broker(values).await?
        } else {
            webhook(values)?
        };
        let post = Arc::new(Post { target, plan });
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
        if let Some(path) = &self.events {
            return Ok(Plan::Bodies(exported::bodies(&read(path)?)?));
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

/// The webhook of the configured receiver.
fn webhook(mut values: Values) -> anyhow::Result<Target> {
    let server = Server::new(&mut values);
    let (_, settings) = receiver(&mut values)?;
    let path = match settings.path_secrets.first() {
        Some(secret) => format!("/notifications/{secret}"),
        None => "/notifications".into(),
    };
    let client = Client::new(server)?;
    Ok(Target::Webhook {
        uri: client.uri(&path)?,
        client,
        signer: Signer::of(&settings.scheme.tokens),
    })
}

/// A queue of the configured broker.
async fn broker(mut values: Values) -> anyhow::Result<Target> {
    let amqp = amqp(&mut values);
    values.check()?;
    let amqp = amqp.context("there is no broker")?;
    let url = format!("amqps://{}", amqp.options.broker);
    let publisher = Publisher::open(&amqp.options, amqp.credentials).await;
    let publisher = publisher.map_err(|error| SendError::NoBroker { error })?;
    Ok(Target::Broker { url, publisher })
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
            Self::Bodies(bodies) => bodies.len() as u64,
            Self::Lives(lives) => lives.len(),
        }
    }

    /// Returns the body of a request.
    fn body(&self, index: u64) -> Bytes {
        match self {
            Self::Same { body, .. } => body.clone(),
            Self::Bodies(bodies) => {
                let body = usize::try_from(index)
                    .ok()
                    .and_then(|index| bodies.get(index));
                body.cloned().unwrap_or_default()
            }
            Self::Lives(lives) => lives.body(index),
        }
    }
}
