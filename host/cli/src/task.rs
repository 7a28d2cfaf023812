//! `batchtask task`: shows a task and its history.

use std::io::{self, Write};

use clap::Args;

use super::reader::{Event, FailedDevice, Item, Policy, Progress, Reader, Remote, Task as State};
use super::table::{Table, escape_unprintable, write_row};

#[derive(Args)]
#[command(after_help = "\
Examples:
  batchtask task 1a7ffc5c-d89c-44dd-8265-b1653d951ce0 1a7ffc5c-d89c-44dd-8265
  batchtask task APP TASK --json | jq -r '.events[].status'

Exit codes: 0 success, 1 refused or no such task, 2 usage error, 3 the receiver
was not reached.")]
pub(super) struct Task {
    /// The `app_id` of the task: its resource space
    app: String,
    /// The `task_id`
    task: String,
    /// Print a JSON object with `task` and `events`, as the API returns them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Task {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let reader = Reader::new(&self.remote)?;
        let task = reader.task(&self.app, &self.task).await?;
        let mut events = Vec::new();
        let mut cursor = None;
        loop {
            let page = reader
                .history(&self.app, &self.task, cursor.as_deref())
                .await?;
            events.extend(page.events);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mut out = io::stdout().lock();
        if self.json {
            write_json(&mut out, &task, &events)?;
        } else {
            write_state(&mut out, &task.value)?;
            if !task.value.failed_devices.is_empty() {
                writeln!(out)?;
                failures(&task.value.failed_devices).write(&mut out)?;
            }
            writeln!(out)?;
            timeline(&events).write(&mut out)?;
        }
        Ok(())
    }
}

fn write_json(out: &mut impl Write, task: &Item<State>, events: &[Item<Event>]) -> io::Result<()> {
    let events: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
    let (task, events) = (&task.json, events.join(","));
    writeln!(out, r#"{{"task":{task},"events":[{events}]}}"#)
}

fn write_state(out: &mut impl Write, task: &State) -> io::Result<()> {
    let status = format!("{} ({})", task.status, task.class);
    let events = format!("{}, and {} duplicates", task.events, task.duplicates);
    for (name, value) in [
        ("task", &task.task_id),
        ("app", &task.app_id),
        ("type", &task.task_type),
        ("status", &status),
        ("text", &task.status_desc),
        ("first change", &task.first_occurred_at),
        ("last change", &task.occurred_at),
        ("last arrival", &task.last_received_at),
        ("events", &events),
        ("flags", &task.flags.join(" ")),
    ] {
        write_row(out, &[name.into(), escape_unprintable(value)], &[12, 0])?;
    }
    write_details(out, task)
}

/// Writes what the platform reported, if it was asked.
fn write_details(out: &mut impl Write, task: &State) -> io::Result<()> {
    let begin = |policy: &Policy| {
        let begin = policy.schedule_time.as_deref().unwrap_or("at once");
        let retries = policy.retry_count.map_or_else(String::new, |count| {
            let minutes = policy.retry_interval.unwrap_or_default();
            format!(", {count} retries after {minutes} min")
        });
        format!("{begin}{retries}")
    };
    for (name, value) in [
        ("name", task.name.clone()),
        ("begin", task.policy.as_ref().map(begin)),
        ("devices", task.progress.as_ref().map(devices)),
    ] {
        if let Some(value) = value {
            write_row(out, &[name.into(), escape_unprintable(&value)], &[12, 0])?;
        }
    }
    Ok(())
}

fn devices(progress: &Progress) -> String {
    let counts = [
        (progress.success, "success"),
        (progress.fail, "fail"),
        (progress.processing, "processing"),
        (progress.waiting, "waiting"),
        (progress.fail_wait_retry, "waiting for a retry"),
        (progress.stopped, "stopped"),
        (progress.removed, "removed"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, state)| format!(", {count} {state}"));
    let (done, at) = (progress.done(), &progress.at);
    format!("{done} done{} (at {at})", counts.collect::<String>())
}

/// Returns a table of devices for which the task failed.
fn failures(failed: &[FailedDevice]) -> Table<3> {
    let mut table = Table::new(["FAILED DEVICE", "ERROR", "MESSAGE"]);
    for failed in failed {
        let [code, message] = [&failed.error_code, &failed.error_msg].map(|it| it.as_deref());
        table.push([
            &failed.device,
            code.unwrap_or_default(),
            message.unwrap_or_default(),
        ]);
    }
    table
}

/// Returns a table of the events, in order of occurrence.
fn timeline(events: &[Item<Event>]) -> Table<7> {
    let headings = [
        "OCCURRED",
        "ARRIVED",
        "SOURCE",
        "STATUS",
        "DUPLICATES",
        "TEXT",
        "FLAGS",
    ];
    let mut table = Table::new(headings);
    for Item { value: event, .. } in events {
        table.push([
            &event.occurred_at,
            &event.received_at,
            &event.source,
            &event.status,
            &event.duplicates.to_string(),
            &event.status_desc,
            &event.flags.join(" "),
        ]);
    }
    table
}
