//! `batchtask platform`: sets up the platform for a receiver, and works on its tasks.
//!
//! - `setup`, `status`, `remove`: the rule that forwards notifications.
//! - `trial`: waits for a genuine push.
//! - `task`: the platform's batch tasks; `reconcile`: searches for lost changes.
//! - `connection`: the client of the platform; `wanted`: the wanted setup, both from
//!   the configuration.
//! - `changes`: the changes of a setup; `backlog`: the backlog policy; `confirm`:
//!   asks before a change.

mod backlog;
mod changes;
mod confirm;
mod connection;
mod reconcile;
mod remove;
mod setup;
mod status;
mod task;
mod trial;
mod wanted;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(super) struct Platform {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Have the platform push to a receiver, or to an AMQP queue.
    Setup(Box<setup::Setup>),
    /// Compare the platform with what `setup` wants.
    Status(Box<status::Status>),
    /// Remove what `setup` created.
    Remove(Box<remove::Remove>),
    /// Wait for a genuine push, and report what its signature proved.
    Trial(trial::Trial),
    /// Search for changes that no push reported, and store them.
    Reconcile(Box<reconcile::Reconcile>),
    /// List, show, confirm, stop and retry batch tasks.
    Task(task::Task),
}

impl Platform {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Setup(setup) => setup.run().await,
            Command::Status(status) => status.run().await,
            Command::Remove(remove) => remove.run().await,
            Command::Trial(trial) => trial.run().await,
            Command::Reconcile(reconcile) => reconcile.run().await,
            Command::Task(task) => task.run().await,
        }
    }
}
