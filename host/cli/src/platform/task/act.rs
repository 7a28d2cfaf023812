//! `batchtask platform task confirm`, `stop` and `retry`

use std::io::{self, Write};

use batchtask_platform::PageRequest;
use batchtask_platform::api::tasks::{DeviceFilter, TargetResult};
use clap::Args;
use serde_json::json;

use super::show;
use crate::config::{Flags, PlatformGroup};
use crate::platform::confirm::Confirm;
use crate::platform::connection::connect;
use crate::table::escape_unprintable;

/// The change of a task.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Confirm,
    Stop,
    Retry,
}

#[derive(Args)]
#[command(after_help = "\
Shows the task, and asks. The platform reports the new status later: see
`batchtask tail`.

Exit codes: 0 the platform accepted it for every device, 1 refused, failed or not
confirmed, 2 usage or configuration, 3 the platform was not reached.")]
pub(super) struct Act {
    /// The `task_id`
    task: String,
    /// Only this device; may be repeated
    #[arg(long, value_name = "ID")]
    device: Vec<String>,
    /// Print the result as a JSON object. Everything else is printed to stderr
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    flags: Flags<PlatformGroup>,
}

/// The platform refused a change for some devices.
#[derive(Debug, thiserror::Error)]
#[error("the platform refused it for {refused} of {all} devices")]
struct PartlyRefused {
    refused: usize,
    all: usize,
}

impl Act {
    pub(super) async fn run(self, verb: Verb) -> anyhow::Result<()> {
        let client = connect(&mut self.flags.values())?;
        let page = PageRequest {
            limit: Some(1),
            ..PageRequest::default()
        };
        let detail = client
            .task(&self.task, &DeviceFilter::default(), &page)
            .await?;
        let mut shown = Vec::new();
        show::write(&mut shown, &detail.task)?;
        writeln!(shown, "changes:\n  {}", self.text(verb))?;
        if self.json {
            io::stderr().write_all(&shown)?;
        } else {
            io::stdout().write_all(&shown)?;
        }
        self.confirm.ask()?;
        let results = match verb {
            Verb::Confirm => client.confirm_task(&self.task, &self.device).await?,
            Verb::Stop => client.stop_task(&self.task, &self.device).await?,
            Verb::Retry => client.retry_task(&self.task, &self.device).await?,
        };
        self.report(verb, &results)?;
        let refused = results.iter().filter(|it| !is_accepted(it)).count();
        let all = results.len();
        if refused > 0 {
            return Err(PartlyRefused { refused, all }.into());
        }
        Ok(())
    }

    fn text(&self, verb: Verb) -> String {
        let task = escape_unprintable(&self.task);
        let devices = match (verb, self.device.as_slice()) {
            (Verb::Confirm, []) => "all devices that wait".to_owned(),
            (Verb::Stop, []) => "all devices that are not done".to_owned(),
            (Verb::Retry, []) => "all devices that failed".to_owned(),
            (_, devices) => format!("`{}`", escape_unprintable(&devices.join("`, `"))),
        };
        format!("{} the task `{task}` for {devices}", verb.name())
    }

    fn report(&self, verb: Verb, results: &[TargetResult]) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            let results = json!({"task_id": self.task, "targets": results});
            return Ok(writeln!(out, "{results}")?);
        }
        for result in results.iter().filter(|it| !is_accepted(it)) {
            let parts = [&result.error_code, &result.error_msg].map(|it| it.as_deref());
            let parts: Vec<&str> = parts.into_iter().flatten().collect();
            let text = format!("refused for `{}`: {}", result.target, parts.join(" "));
            writeln!(out, "{}", escape_unprintable(&text))?;
        }
        writeln!(out, "done: {}", self.text(verb))?;
        Ok(())
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Stop => "stop",
            Self::Retry => "retry",
        }
    }
}

fn is_accepted(result: &TargetResult) -> bool {
    result.error_code.as_deref().is_none_or(str::is_empty) && result.status != "failure"
}
