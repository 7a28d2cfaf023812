//! `batchtask platform task list`

use std::io::{self, Write};

use batchtask_platform::api::tasks::TaskFilter;
use clap::Args;

use crate::config::{Flags, PLATFORM_APP_ID, PlatformGroup};
use crate::platform::connection::connect;
use crate::table::Table;

#[derive(Args)]
#[command(after_help = "\
If `--platform-app-id` is set, lists the tasks of this resource space only.

Examples:
  batchtask platform task list --config batchtask.toml --status Processing
  batchtask platform task list --config batchtask.toml --json | jq -r .task_id

Exit codes: 0 success, 1 refused, 2 usage or configuration, 3 the platform was
not reached.")]
pub(super) struct List {
    /// Only tasks with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only tasks of this type
    #[arg(long, value_name = "TYPE")]
    task_type: Option<String>,
    /// Print each task as a JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<PlatformGroup>,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut values = self.flags.values();
        let client = connect(&mut values)?;
        let filter = TaskFilter {
            app_id: values.value(&PLATFORM_APP_ID),
            task_type: self.task_type,
            status: self.status,
        };
        let tasks = client.list(&filter).await?;
        let mut out = io::stdout().lock();
        if self.json {
            for task in &tasks {
                writeln!(out, "{}", serde_json::to_string(task)?)?;
            }
            return Ok(());
        }
        let mut table = Table::new(["STATUS", "TASK", "NAME", "TYPE", "CREATED", "DEVICES"]);
        for task in &tasks {
            table.push([
                &task.status,
                &task.task_id,
                &task.task_name,
                &task.task_type,
                task.create_time.as_deref().unwrap_or_default(),
                &task
                    .task_progress
                    .map_or_else(String::new, |it| it.total.to_string()),
            ]);
        }
        Ok(table.write(&mut out)?)
    }
}
