//! `batchtask export`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::{Args, Subcommand, ValueEnum};
use csv::{Terminator, WriterBuilder};

use super::filter::{Filter, Order};
use super::reader::{Event, Item, Reader, Remote, Task};

const HELP: &str = "\
Rows are written as they are read, a page at a time. Tasks come with the last
changed last, so that none is missed when tasks change meanwhile; one that does
may come twice. Events come in order of arrival.

CSV is as RFC 4180 has it, in UTF-8. Cells that a spreadsheet would take for a
formula, because they begin with = + - @, a tab, a line break or the wide form
of such a sign, get an apostrophe in front. JSON Lines has everything word for
word.

Examples:
  batchtask export tasks --format csv --output tasks.csv
  batchtask export tasks --format csv --app-id APP --since 2026-01-01
  batchtask export events --format jsonl | gzip > events.jsonl.gz

Exit codes: 0 all was written, 1 refused or not written, 2 usage, 3 the receiver
was not reached.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Export {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The state of each task
    #[command(after_help = HELP)]
    Tasks {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        filter: Filter,
    },
    /// Every event of every task, with its body
    #[command(after_help = HELP)]
    Events {
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Where rows go, and as what.
#[derive(Args)]
struct To {
    /// What a row looks like
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write, instead of the standard output; it is written over
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Cells with commas between, under a row of headings.
    Csv,
    /// One JSON object a line, as the API has it.
    Jsonl,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Tasks { filter, to, remote } => {
                let reader = Reader::new(remote)?;
                export_tasks(&reader, &filter, to.open()?).await
            }
            What::Events { to, remote } => {
                let reader = Reader::new(remote)?;
                export_events(&reader, to.open()?).await
            }
        }
    }
}

async fn export_tasks(reader: &Reader, filter: &Filter, mut rows: Rows) -> anyhow::Result<()> {
    let query = filter.query(Order::Oldest, PAGE_ITEMS_MAX);
    let mut cursor = None;
    rows.begin::<Task>()?;
    loop {
        let page = reader.tasks(&query, cursor.as_deref()).await?;
        rows.write(&page.tasks)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(rows.end()?);
        }
    }
}

async fn export_events(reader: &Reader, mut rows: Rows) -> anyhow::Result<()> {
    // Events go on arriving: without an end of its own it might have none.
    let last = reader.last_seq().await?;
    let mut after = 0;
    rows.begin::<Event>()?;
    while after < last {
        let feed = reader.feed(after, PAGE_ITEMS_MAX, 0).await?;
        if feed.events.is_empty() {
            break;
        }
        rows.write(&feed.events)?;
        after = feed.last_seq;
    }
    Ok(rows.end()?)
}

impl To {
    fn open(&self) -> anyhow::Result<Rows> {
        let out: Box<dyn Write> = match &self.output {
            None => Box::new(BufWriter::new(io::stdout())),
            Some(path) => {
                let file = File::create(path);
                let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
                Box::new(BufWriter::new(file))
            }
        };
        Ok(Rows::new(self.format, out))
    }
}

/// What can be a row of CSV.
trait Row {
    const HEADINGS: &[&str];

    /// A cell for each heading.
    fn cells(&self) -> Vec<String>;
}

impl Row for Task {
    const HEADINGS: &[&str] = &[
        "app_id",
        "task_id",
        "task_type",
        "status",
        "status_desc",
        "class",
        "occurred_at",
        "first_occurred_at",
        "last_received_at",
        "events",
        "duplicates",
        "flags",
        "request_ids",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.app_id.clone(),
            self.task_id.clone(),
            self.task_type.clone(),
            self.status.clone(),
            self.status_desc.clone(),
            self.class.clone(),
            self.occurred_at.clone(),
            self.first_occurred_at.clone(),
            self.last_received_at.clone(),
            self.events.to_string(),
            self.duplicates.to_string(),
            self.flags.join(" "),
            self.request_ids.join(" "),
        ]
    }
}

impl Row for Event {
    const HEADINGS: &[&str] = &[
        "seq",
        "app_id",
        "task_id",
        "task_type",
        "status",
        "status_desc",
        "event_time",
        "event_time_ms",
        "occurred_at",
        "received_at",
        "digest",
        "signature",
        "duplicates",
        "flags",
        "request_ids",
        "body",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.seq.to_string(),
            self.app_id.clone(),
            self.task_id.clone(),
            self.task_type.clone(),
            self.status.clone(),
            self.status_desc.clone(),
            self.event_time.clone().unwrap_or_default(),
            self.event_time_ms.clone().unwrap_or_default(),
            self.occurred_at.clone(),
            self.received_at.clone(),
            self.digest.clone(),
            self.signature.clone().unwrap_or_default(),
            self.duplicates.to_string(),
            self.flags.join(" "),
            self.request_ids.join(" "),
            self.body.clone().unwrap_or_default(),
        ]
    }
}

/// Rows on their way out.
enum Rows {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Jsonl(Box<dyn Write>),
}

impl Rows {
    fn new(format: Format, out: Box<dyn Write>) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => Self::Csv(Box::new(
                WriterBuilder::new()
                    .terminator(Terminator::CRLF)
                    .from_writer(out),
            )),
        }
    }

    fn begin<T: Row>(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(csv) => csv.write_record(T::HEADINGS).map_err(io_error),
            Self::Jsonl(_) => Ok(()),
        }
    }

    fn write<T: Row>(&mut self, items: &[Item<T>]) -> io::Result<()> {
        for item in items {
            match self {
                Self::Csv(csv) => {
                    let cells = item.known.cells();
                    let cells = cells.into_iter().map(harmless);
                    csv.write_record(cells).map_err(io_error)?;
                }
                Self::Jsonl(out) => writeln!(out, "{}", item.json)?,
            }
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(csv) => csv.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}

/// The error of the writer below: rows of text have no other.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV injection).
fn harmless(cell: String) -> String {
    const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    match cell.starts_with(FORMULA) {
        true => format!("'{cell}"),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_formula_gets_an_apostrophe() {
        for text in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1",
        ] {
            assert_eq!(harmless(text.into()), format!("'{text}"));
        }
        for text in ["", "a=1", "'=1", " x", "1-1", "{\"a\":1}"] {
            assert_eq!(harmless(text.into()), text);
        }
    }
}
