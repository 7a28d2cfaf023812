//! `batchtask platform task`: the platform's batch tasks.
//!
//! - `list`; `show`, with `devices`: read them.
//! - `act`: confirms, stops and retries them.

mod act;
mod list;
mod show;

use clap::{Args, Subcommand};

use self::act::Verb;

#[derive(Args)]
pub(super) struct Task {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List batch tasks, the newest first.
    List(Box<list::List>),
    /// Show a batch task, with the number of its devices in each state.
    Show(Box<show::Show>),
    /// List the devices of a batch task.
    Devices(Box<show::Devices>),
    /// Let the waiting devices of an upgrade begin that was created to be confirmed.
    Confirm(Box<act::Act>),
    /// Stop a batch task, or some of its devices.
    Stop(Box<act::Act>),
    /// Retry the failed devices of a batch task, or some of them.
    Retry(Box<act::Act>),
}

impl Task {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Devices(devices) => devices.run().await,
            Command::Confirm(act) => act.run(Verb::Confirm).await,
            Command::Stop(act) => act.run(Verb::Stop).await,
            Command::Retry(act) => act.run(Verb::Retry).await,
        }
    }
}
