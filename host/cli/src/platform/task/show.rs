//! `batchtask platform task show` and `batchtask platform task devices`

use std::io::{self, Write};

use batchtask_platform::PageRequest;
use batchtask_platform::api::tasks::{Device, DeviceFilter, Task, TaskProgress};
use clap::Args;

use crate::config::{Flags, PlatformGroup};
use crate::platform::connection::connect;
use crate::table::{Table, escape_unprintable, write_row};

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask platform task show --config batchtask.toml 5c8ba99030344005c02316ad

Exit codes: 0 success, 1 refused or no such task, 2 usage or configuration, 3
the platform was not reached.")]
pub(super) struct Show {
    /// The `task_id`
    task: String,
    /// Print the task as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<PlatformGroup>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask platform task devices --config batchtask.toml 5c8ba99030344005c02316ad --status Fail

Exit codes: 0 success, 1 refused or no such task, 2 usage or configuration, 3
the platform was not reached.")]
pub(super) struct Devices {
    /// The `task_id`
    task: String,
    /// Only devices with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Print each device as a JSON object, on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<PlatformGroup>,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = connect(&mut self.flags.values())?;
        let page = PageRequest {
            limit: Some(1),
            ..PageRequest::default()
        };
        let detail = client
            .task(&self.task, &DeviceFilter::default(), &page)
            .await?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&detail.task)?)?;
        } else {
            write(&mut out, &detail.task)?;
        }
        Ok(())
    }
}

/// Writes a task, one member a line.
pub(super) fn write(out: &mut impl Write, task: &Task) -> io::Result<()> {
    let policy = task.task_policy.as_ref();
    let begin = policy.and_then(|it| it.schedule_time.as_deref());
    let created = task.create_time.as_deref();
    for (name, value) in [
        ("task", &*task.task_id),
        ("name", &task.task_name),
        ("type", &task.task_type),
        ("status", &task.status),
        ("text", &task.status_desc),
        ("created", created.unwrap_or_default()),
        ("begins", begin.unwrap_or("at once")),
        (
            "devices",
            &progress_text(task.task_progress.unwrap_or_default()),
        ),
    ] {
        write_row(out, &[name.to_owned(), escape_unprintable(value)], &[7, 0])?;
    }
    Ok(())
}

fn progress_text(progress: TaskProgress) -> String {
    let counts = [
        (progress.success, "succeeded"),
        (progress.fail, "failed"),
        (progress.processing, "in progress"),
        (progress.waitting, "waiting"),
        (progress.fail_wait_retry, "waiting for a retry"),
        (progress.stopped, "stopped"),
        (progress.removed, "removed"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let colon = if counts.is_empty() { "" } else { ": " };
    format!("{}{colon}{}", progress.total, counts.join(", "))
}

impl Devices {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let client = connect(&mut self.flags.values())?;
        let filter = DeviceFilter {
            status: self.status,
            target: self.device,
        };
        let mut devices = Vec::new();
        let mut request = PageRequest::after(None);
        loop {
            let page = client.task(&self.task, &filter, &request).await?.devices;
            let is_last = page.is_last(devices.len(), request.marker.as_deref());
            devices.extend(page.items);
            if is_last {
                break;
            }
            request = PageRequest::after(page.marker);
        }
        let mut out = io::stdout().lock();
        if self.json {
            for device in &devices {
                writeln!(out, "{}", serde_json::to_string(device)?)?;
            }
            return Ok(());
        }
        Ok(table(&devices).write(&mut out)?)
    }
}

fn table(devices: &[Device]) -> Table<4> {
    let mut table = Table::new(["STATUS", "DEVICE", "ERROR", "OUTPUT"]);
    for device in devices {
        let error = device.error.clone().unwrap_or_default();
        let parts = [error.error_code, error.error_msg];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let output = device.output.as_deref().unwrap_or_default();
        table.push([&device.status, &device.target, &parts.join(" "), output]);
    }
    table
}
