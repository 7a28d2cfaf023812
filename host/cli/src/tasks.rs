//! `batchtask tasks`

use std::io::{self, BufWriter, Write};

use batchtask_guest::journal::PAGE_ITEMS_MAX;
use clap::Args;

use super::filter::{Filter, Order};
use super::reader::{Item, Reader, Remote, Task};
use super::table::Table;

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask tasks
  batchtask tasks --class open --since 2026-01-31
  batchtask tasks --status Fail --all --json | jq -r .task_id

Exit codes: 0 answered, 1 refused, 2 usage, 3 the receiver was not reached.")]
pub(super) struct Tasks {
    /// Which tasks come first, by the time of their last change
    #[arg(long, value_enum, default_value_t)]
    order: Order,
    /// The most tasks that are shown
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All tasks are shown
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// One JSON object a task and line, as the API has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    filter: Filter,
}

impl Tasks {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(self.remote)?;
        let mut left = match self.all {
            true => usize::MAX,
            false => self.limit as usize,
        };
        let page_limit = left.min(PAGE_ITEMS_MAX as usize) as u32;
        let query = self.filter.query(self.order, page_limit);
        let mut shown = Shown::new(self.json);
        let mut cursor = None;
        loop {
            let page = reader.tasks(&query, cursor.as_deref()).await?;
            let has_more = page.next.is_some() || page.tasks.len() > left;
            for task in page.tasks.iter().take(left) {
                shown.push(task)?;
            }
            left = left.saturating_sub(page.tasks.len());
            cursor = page.next;
            if cursor.is_none() || left == 0 {
                shown.finish()?;
                if has_more {
                    eprintln!("there are more: `--limit N` or `--all` shows them");
                }
                return Ok(());
            }
        }
    }
}

/// What is shown of the tasks.
enum Shown {
    /// Each at once.
    Json(BufWriter<io::Stdout>),
    /// All at the end: every row decides how wide the columns are.
    Table(Table<7>),
}

impl Shown {
    fn new(json: bool) -> Self {
        match json {
            true => Self::Json(BufWriter::new(io::stdout())),
            false => Self::Table(Table::new([
                "STATUS",
                "APP",
                "TASK",
                "TYPE",
                "LAST CHANGE",
                "EVENTS",
                "FLAGS",
            ])),
        }
    }

    fn push(&mut self, task: &Item<Task>) -> io::Result<()> {
        match self {
            Self::Json(out) => writeln!(out, "{}", task.json),
            Self::Table(table) => {
                let task = &task.known;
                table.push([
                    &task.status,
                    &task.app_id,
                    &task.task_id,
                    &task.task_type,
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
