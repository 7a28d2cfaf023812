//! `batchtask sinks`

use std::io::{self, Write};

use anyhow::bail;
use batchtask_guest::percent;
use batchtask_notification::time;
use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::admin::Operator;
use super::config::{AdminGroup, Flags, sink_keys};
use super::filter::instant;
use super::table::{Table, escape_json, escape_unprintable};

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Asks the admin listener of a receiver on this machine. Needs the receiver's
BATCHTASK_OPERATE_TOKEN. Without a command, lists the sinks.

Examples:
  batchtask sinks
  batchtask sinks test ops
  batchtask sinks dead list ops
  batchtask sinks dead retry ops --all
  batchtask sinks replay ops --since 2026-01-31

Exit codes: 0 success, 1 refused, or a test that failed, 2 usage or
configuration, 3 the receiver was not reached.",
    after_long_help = sink_keys()
)]
pub(super) struct Sinks {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Subcommand)]
enum Action {
    /// List the sinks: state, lag and last error.
    List(List),
    /// Send nothing to a sink until it is resumed.
    Pause(Named),
    /// Send to a sink again.
    Resume(Named),
    /// Send a message that reports nothing to a sink.
    Test(Named),
    /// Send events to a sink again, marked as a replay.
    Replay(Replay),
    /// Work on the events that were given up.
    #[command(subcommand)]
    Dead(Dead),
}

#[derive(Subcommand)]
enum Dead {
    /// List the dead letters of a sink.
    List(ListDead),
    /// Try dead letters again.
    Retry(Selected),
    /// Drop dead letters.
    Drop(Selected),
}

#[derive(Args)]
struct List {
    /// Print JSON objects, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<AdminGroup>,
}

#[derive(Args)]
struct Named {
    /// The name of the sink
    sink: String,
    #[command(flatten)]
    flags: Flags<AdminGroup>,
}

#[derive(Args)]
struct ListDead {
    /// Print JSON objects, one per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    named: Named,
}

#[derive(Args)]
struct Selected {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    letters: Letters,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Letters {
    /// The seq of the event
    seq: Option<u64>,
    /// All dead letters of the sink
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
struct Replay {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    range: Range,
    /// The resource space of the task
    #[arg(long, value_name = "ID", requires = "task")]
    app_id: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Range {
    /// The first event, by its seq
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// The last event. Without it, the newest one
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Events that arrived at or after this UTC time, such as `2026-01-31`
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<String>,
    /// Events of this task, which needs its resource space
    #[arg(long, value_name = "ID", requires = "app_id")]
    task: Option<String>,
    /// Everything that the journal has
    #[arg(long)]
    all: bool,
}

/// A sink, as the receiver describes it.
#[derive(Deserialize)]
struct Sink {
    name: String,
    state: String,
    lag_events: u64,
    lag_seconds: u64,
    parked: u64,
    dead: u64,
    last_error: Option<String>,
    last_error_at: Option<String>,
}

/// A dead letter, as the receiver describes it.
#[derive(Deserialize)]
struct DeadLetter {
    seq: u64,
    app_id: String,
    task_id: String,
    attempts: u64,
    died_at: String,
    error: String,
}

impl Sinks {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            None => self.list.run().await,
            Some(Action::List(list)) => list.run().await,
            Some(Action::Pause(named)) => named.act("pause", "paused").await,
            Some(Action::Resume(named)) => named.act("resume", "resumed").await,
            Some(Action::Test(named)) => named.test().await,
            Some(Action::Replay(replay)) => replay.run().await,
            Some(Action::Dead(Dead::List(list))) => list.run().await,
            Some(Action::Dead(Dead::Retry(selected))) => selected.act("retry", "tried again").await,
            Some(Action::Dead(Dead::Drop(selected))) => selected.act("drop", "dropped").await,
        }
    }
}

impl Sink {
    /// The last error, and when it was.
    fn error(&self) -> String {
        let error = self.last_error.as_deref().unwrap_or_default();
        match &self.last_error_at {
            Some(at) => format!("{at} {error}"),
            None => error.to_owned(),
        }
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            sinks: Vec<Box<RawValue>>,
        }
        let operator = Operator::new(&mut self.flags.values())?;
        let answer: Answer = operator.ask(Method::GET, "/sinks").await?;
        if self.json {
            return print_lines(&answer.sinks);
        }
        let headings = [
            "SINK",
            "STATE",
            "LAG",
            "SECONDS",
            "PARKED",
            "DEAD",
            "LAST ERROR",
        ];
        let mut table = Table::new(headings);
        for sink in &answer.sinks {
            let sink: Sink = serde_json::from_str(sink.get())?;
            table.push([
                &sink.name,
                &sink.state,
                &sink.lag_events.to_string(),
                &sink.lag_seconds.to_string(),
                &sink.parked.to_string(),
                &sink.dead.to_string(),
                &sink.error(),
            ]);
        }
        Ok(table.write(&mut io::stdout().lock())?)
    }
}

impl Named {
    fn path(&self, action: &str) -> String {
        let sink = percent::encode(&self.sink, percent::UNRESERVED);
        format!("/sinks/{sink}/{action}")
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, action: &str) -> anyhow::Result<T> {
        let operator = Operator::new(&mut self.flags.values())?;
        operator.ask(method, &self.path(action)).await
    }

    async fn act(self, action: &str, done: &str) -> anyhow::Result<()> {
        let _: Box<RawValue> = self.ask(Method::POST, action).await?;
        let sink = escape_unprintable(&self.sink);
        Ok(writeln!(io::stdout(), "the sink `{sink}` is {done}")?)
    }

    async fn test(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            accepted: bool,
            error: Option<String>,
        }
        let answer: Answer = self.ask(Method::POST, "test").await?;
        let sink = escape_unprintable(&self.sink);
        if !answer.accepted {
            let error = answer.error.unwrap_or_default();
            bail!("the sink `{sink}` failed: {}", escape_unprintable(&error));
        }
        Ok(writeln!(
            io::stdout(),
            "the sink `{sink}` accepted the test"
        )?)
    }
}

impl Replay {
    async fn run(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            error: Option<String>,
        }
        let range = &self.range;
        let since_ms = range.since.as_deref().and_then(time::parse_milliseconds);
        let from = range.from.or(range.all.then_some(0));
        let text = |text: &String| percent::encode(text, percent::UNRESERVED);
        let pairs = [
            ("from", from.map(|seq| seq.to_string())),
            ("to", range.to.map(|seq| seq.to_string())),
            ("since", since_ms.map(|ms| ms.to_string())),
            ("app", self.app_id.as_ref().map(text)),
            ("task", range.task.as_ref().map(text)),
        ];
        let pairs = pairs.into_iter();
        let pairs = pairs.filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let action = format!("replay?{query}");
        let answer: Answer = self.named.ask(Method::POST, &action).await?;
        if let Some(error) = answer.error {
            bail!("{}", escape_unprintable(&error));
        }
        let sink = escape_unprintable(&self.named.sink);
        Ok(writeln!(
            io::stdout(),
            "the replay to the sink `{sink}` has begun; `batchtask sinks --json` counts `replayed`"
        )?)
    }
}

impl ListDead {
    async fn run(self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            dead: Vec<Box<RawValue>>,
        }
        let answer: Answer = self.named.ask(Method::GET, "dead").await?;
        if self.json {
            return print_lines(&answer.dead);
        }
        let mut table = Table::new(["SEQ", "APP", "TASK", "ATTEMPTS", "GIVEN UP", "ERROR"]);
        for letter in &answer.dead {
            let letter: DeadLetter = serde_json::from_str(letter.get())?;
            table.push([
                &letter.seq.to_string(),
                &letter.app_id,
                &letter.task_id,
                &letter.attempts.to_string(),
                &letter.died_at,
                &letter.error,
            ]);
        }
        Ok(table.write(&mut io::stdout().lock())?)
    }
}

impl Selected {
    async fn act(self, action: &str, done: &str) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            changed: u64,
        }
        let query = self
            .letters
            .seq
            .map_or_else(|| "all=true".into(), |seq| format!("seq={seq}"));
        let action_path = format!("dead/{action}?{query}");
        let answer: Answer = self.named.ask(Method::POST, &action_path).await?;
        let changed = answer.changed;
        Ok(writeln!(
            io::stdout(),
            "dead letters that are {done}: {changed}"
        )?)
    }
}

fn print_lines(objects: &[Box<RawValue>]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for object in objects {
        writeln!(out, "{}", escape_json(object.get()))?;
    }
    Ok(())
}
