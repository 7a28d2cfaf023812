//! `batchtask tasks`: lists tasks.

use std::io::{self, BufWriter, Write};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::Args;

use super::filter::{Filter, Order, Sort};
use super::output::note;
use super::reader::{Item, Progress, Reader, Remote, Task};
use super::table::Table;

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask tasks
  batchtask tasks --class open --since 2h
  batchtask tasks --flag gap --sort task-id
  batchtask tasks --status Fail --status PartialSuccess --all --json | jq -r .task_id

Exit codes: 0 success, 1 refused, 2 usage error, 3 the receiver was not reached.")]
pub(super) struct Tasks {
    /// What tasks are sorted by
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// The direction in which they are sorted. Without it, the last time comes first,
    /// and the least of everything else
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Show at most this many tasks
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Show all tasks
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print each task as the API's JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    filter: Filter,
}

impl Tasks {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let mut left = if self.all {
            usize::MAX
        } else {
            self.limit as usize
        };
        let page_limit = left.min(PAGE_ITEMS_MAX as usize) as u32;
        let query = self.filter.query(self.sort, self.order, page_limit);
        let mut output = Output::new(self.json);
        let mut cursor = None;
        loop {
            let page = reader.tasks(&query, cursor.as_deref()).await?;
            let has_more = page.next.is_some() || page.tasks.len() > left;
            for task in page.tasks.iter().take(left) {
                output.push(task)?;
            }
            left = left.saturating_sub(page.tasks.len());
            cursor = page.next;
            if cursor.is_none() || left == 0 {
                output.finish()?;
                if has_more {
                    note("there are more tasks: use `--limit N` or `--all`");
                }
                return Ok(());
            }
        }
    }
}

/// The output of tasks.
enum Output {
    /// Prints each task at once.
    Json(BufWriter<io::Stdout>),
    /// Prints all tasks at the end, because every row affects the column widths.
    Table(Table<9>),
}

impl Output {
    fn new(json: bool) -> Self {
        if json {
            return Self::Json(BufWriter::new(io::stdout()));
        }
        Self::Table(Table::new([
            "STATUS",
            "APP",
            "TASK",
            "NAME",
            "TYPE",
            "DONE",
            "LAST CHANGE",
            "EVENTS",
            "FLAGS",
        ]))
    }

    fn push(&mut self, task: &Item<Task>) -> io::Result<()> {
        match self {
            Self::Json(out) => writeln!(out, "{}", task.json),
            Self::Table(table) => {
                let task = &task.value;
                table.push([
                    &task.status,
                    &task.app_id,
                    &task.task_id,
                    task.name.as_deref().unwrap_or_default(),
                    &task.task_type,
                    &task
                        .progress
                        .as_ref()
                        .map_or_else(String::new, Progress::done),
                    &task.occurred_at,
                    &task.events.to_string(),
                    &task.flags.join(" "),
                ]);
                Ok(())
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Json(mut out) => out.flush(),
            Self::Table(table) => table.write(&mut io::stdout().lock()),
        }
    }
}
