//! `batchtask export`: writes tasks or events to a file.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context;
use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::{Args, Subcommand, ValueEnum};
use csv::{Terminator, WriterBuilder};

use super::exit::Interrupted;
use super::filter::{Filter, Order, Sort};
use super::new_file::NewFile;
use super::reader::{Event, Item, Progress, Reader, Remote, Task};
use super::table::escape_unprintable;

const HELP: &str = "\
Rows are read and written page by page. Tasks are ordered by their last change,
the oldest first, so that no task is missed if some change meanwhile; a task that
changes may appear twice. Events are in order of arrival.

An error or Ctrl-C leaves an existing file as it was.

CSV follows RFC 4180, in UTF-8. An apostrophe is put in front of cells that a
spreadsheet would read as a formula, because they begin with = + - @ (or their
full-width forms), a tab or a line break. JSON Lines contains every value
unchanged.

Examples:
  batchtask export tasks --format csv --output tasks.csv
  batchtask export tasks --format csv --app-id APP --since 2026-01-01
  batchtask export tasks --format csv --bom --output tasks-for-a-spreadsheet.csv
  batchtask export events --format jsonl | gzip > events.jsonl.gz

Exit codes: 0 success, 1 refused or not written, 2 usage error, 3 the receiver
was not reached.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Export {
    #[command(subcommand)]
    rows: Rows,
}

#[derive(Subcommand)]
enum Rows {
    /// Export the state of each task
    #[command(after_help = HELP)]
    Tasks {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        filter: Filter,
    },
    /// Export every event of every task, with its body
    #[command(after_help = HELP)]
    Events {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        remote: Remote,
    },
}

/// The format and the destination of the rows.
#[derive(Args)]
struct Output {
    /// The format of the rows
    #[arg(long, value_enum)]
    format: Format,
    /// Write to this file instead of the standard output. An existing file is
    /// replaced when the new one is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Begin CSV with a byte-order mark, without which some spreadsheets do not read
    /// it as UTF-8
    #[arg(long)]
    bom: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Comma-separated values, with a row of headings.
    Csv,
    /// The API's JSON objects, one on each line.
    Jsonl,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        tokio::select! {
            result = self.write() => result,
            Ok(()) = tokio::signal::ctrl_c() => Err(Interrupted.into()),
        }
    }

    async fn write(self) -> anyhow::Result<()> {
        match self.rows {
            Rows::Tasks {
                filter,
                output,
                remote,
            } => {
                let reader = Reader::new(&remote)?;
                export_tasks(&reader, &filter, output.open()?).await
            }
            Rows::Events { output, remote } => {
                let reader = Reader::new(&remote)?;
                export_events(&reader, output.open()?).await
            }
        }
    }
}

async fn export_tasks(reader: &Reader, filter: &Filter, mut writer: Writer) -> anyhow::Result<()> {
    let query = filter.query(Sort::Changed, Some(Order::Asc), PAGE_ITEMS_MAX);
    let mut cursor = None;
    writer.begin::<Task>()?;
    loop {
        let page = reader.tasks(&query, cursor.as_deref()).await?;
        writer.write(&page.tasks)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(writer.end()?);
        }
    }
}

async fn export_events(reader: &Reader, mut writer: Writer) -> anyhow::Result<()> {
    // Stop at the event that is the last one now, because events continue to arrive.
    let last = reader.last_seq().await?;
    let mut after = 0;
    writer.begin::<Event>()?;
    while after < last {
        let feed = reader.feed(after, PAGE_ITEMS_MAX, 0).await?;
        if feed.events.is_empty() {
            break;
        }
        writer.write(&feed.events)?;
        after = feed.last_seq;
    }
    Ok(writer.end()?)
}

impl Output {
    fn open(&self) -> anyhow::Result<Writer> {
        let (mut out, is_terminal) = match &self.output {
            None => (
                Destination::Stdout(io::stdout()),
                io::stdout().is_terminal(),
            ),
            Some(path) => {
                let file = NewFile::create(path);
                let file = file.with_context(|| format!("cannot write `{}`", path.display()))?;
                (Destination::File(file), false)
            }
        };
        if self.bom && matches!(self.format, Format::Csv) {
            out.write_all("\u{feff}".as_bytes())?;
        }
        Ok(Writer::new(self.format, out, is_terminal))
    }
}

/// Where rows go.
enum Destination {
    Stdout(io::Stdout),
    File(NewFile),
}

impl Destination {
    /// Ends the output: everything was written.
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Self::Stdout(_) => Ok(()),
            Self::File(file) => file.finish(),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

/// An object that can be a row of CSV.
trait Row {
    const HEADINGS: &[&str];

    /// Returns a cell for each heading.
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
        "name",
        "devices",
        "devices_processing",
        "devices_success",
        "devices_fail",
        "devices_waiting",
        "devices_fail_wait_retry",
        "devices_stopped",
        "devices_removed",
        "devices_at",
    ];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
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
            self.name.clone().unwrap_or_default(),
        ];
        cells.extend(match &self.progress {
            Some(progress) => devices(progress),
            None => Default::default(),
        });
        cells
    }
}

fn devices(progress: &Progress) -> [String; 9] {
    [
        progress.total.to_string(),
        progress.processing.to_string(),
        progress.success.to_string(),
        progress.fail.to_string(),
        progress.waiting.to_string(),
        progress.fail_wait_retry.to_string(),
        progress.stopped.to_string(),
        progress.removed.to_string(),
        progress.at.clone(),
    ]
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
        "source",
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
            self.source.clone(),
            self.signature.clone().unwrap_or_default(),
            self.duplicates.to_string(),
            self.flags.join(" "),
            self.request_ids.join(" "),
            self.body.clone().unwrap_or_default(),
        ]
    }
}

/// Writes rows in a format.
enum Writer {
    Csv {
        csv: Box<csv::Writer<Destination>>,
        /// Whether cells must not control a terminal.
        is_terminal: bool,
    },
    Jsonl(BufWriter<Destination>),
}

impl Writer {
    fn new(format: Format, out: Destination, is_terminal: bool) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl(BufWriter::new(out)),
            Format::Csv => {
                let csv = WriterBuilder::new()
                    .terminator(Terminator::CRLF)
                    .from_writer(out);
                let csv = Box::new(csv);
                Self::Csv { csv, is_terminal }
            }
        }
    }

    fn begin<T: Row>(&mut self) -> io::Result<()> {
        match self {
            Self::Csv { csv, .. } => csv.write_record(T::HEADINGS).map_err(io_error),
            Self::Jsonl(_) => Ok(()),
        }
    }

    fn write<T: Row>(&mut self, items: &[Item<T>]) -> io::Result<()> {
        for item in items {
            match self {
                Self::Csv { csv, is_terminal } => {
                    let cells = item.value.cells().into_iter().map(escape_formula);
                    let cells = cells.map(|cell| {
                        if *is_terminal {
                            escape_unprintable(&cell)
                        } else {
                            cell
                        }
                    });
                    csv.write_record(cells).map_err(io_error)?;
                }
                Self::Jsonl(out) => writeln!(out, "{}", item.json)?,
            }
        }
        Ok(())
    }

    /// Ends the output. Without this, a file stays as it was.
    fn end(self) -> io::Result<()> {
        let out = match self {
            Self::Csv { csv, .. } => csv.into_inner().map_err(|error| error.into_error()),
            Self::Jsonl(out) => out.into_inner().map_err(io::IntoInnerError::into_error),
        };
        out?.finish()
    }
}

/// Returns the I/O error in an error of the CSV writer. Rows of text cause no other
/// errors.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Adds an apostrophe to a cell that a spreadsheet would read as a formula (OWASP,
/// CSV injection).
fn escape_formula(cell: String) -> String {
    const FORMULA: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if cell.starts_with(FORMULA) {
        format!("'{cell}")
    } else {
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_could_be_a_formula_gets_an_apostrophe() {
        for text in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1",
        ] {
            assert_eq!(escape_formula(text.into()), format!("'{text}"));
        }
        for text in ["", "a=1", "'=1", " x", "1-1", "{\"a\":1}"] {
            assert_eq!(escape_formula(text.into()), text);
        }
    }
}
