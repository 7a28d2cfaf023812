//! The program `batchtask`.
//!
//! - `config`: options, the configuration file and the checks of both;
//!   `check`: checks it without starting; `warnings`: of what is probably not
//!   meant; `logging`: log lines.
//! - `serve`: runs a receiver; `tls`: makes certificates.
//! - `backup`, with `restore`, `prune` and `copy`: look after a `journal`.
//! - `send`: plays the platform.
//! - `sinks`: shows and operates where events are passed on to.
//! - `health`: the health check of a container.
//! - `tasks`, `task`, `wait`, `tail`, `export`, `status`, `quarantine`: read a receiver,
//!   through `reader` and its `filter`s; `table`: columns for people; `output`: lines for
//!   a terminal or a pipe; `new_file`: a file that is complete or not there.
//! - `platform`: sets up the platform for a receiver, and works on its tasks;
//!   `reconcile`: finds changes that no push reported.
//! - `client`: HTTP, for `send` and readers; `proxy`: that of the environment; `answer`: answers and errors of a request.
//! - `progress`: the progress bar.
//! - `manual`: completions and man pages.
//! - `exit`: exit codes.

mod admin;
mod answer;
mod backup;
mod check;
mod client;
mod config;
mod copy;
mod exit;
mod export;
mod filter;
mod health;
mod journal;
mod logging;
mod manual;
mod new_file;
mod output;
mod platform;
mod progress;
mod proxy;
mod prune;
mod quarantine;
mod reader;
mod reconcile;
mod send;
mod serve;
mod sinks;
mod status;
mod table;
mod tail;
mod task;
mod tasks;
mod tls;
mod wait;
mod warnings;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Receives batch-task notifications of Huawei Cloud IoTDA and loses none.
#[derive(Parser)]
#[command(
    name = "batchtask",
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = config::secrets()
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command, `serve` runs.
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the webhook.
    Serve(Box<serve::Serve>),
    /// Check the configuration of `serve` without starting.
    Check(check::Check),
    /// Post notifications as the platform would.
    Send(Box<send::Send>),
    /// List the tasks of a running receiver.
    Tasks(tasks::Tasks),
    /// Show a task of a running receiver, and what happened to it.
    Task(task::Task),
    /// Wait until a task of a running receiver has ended.
    Wait(wait::Wait),
    /// Follow the events of a running receiver as they arrive.
    Tail(tail::Tail),
    /// Write the tasks or events of a running receiver as CSV or JSON Lines.
    Export(export::Export),
    /// Show whether a running receiver is well.
    Status(status::Status),
    /// Exit with 0 if the receiver on this machine is ready.
    Health(health::Health),
    /// Look through the quarantine of a running receiver.
    Quarantine(quarantine::Quarantine),
    /// Copy a journal, which may be in use, to a file.
    Backup(backup::Backup),
    /// Put a backup in the place of a journal.
    Restore(backup::Restore),
    /// Remove old tasks from a journal.
    Prune(prune::Prune),
    /// Copy a journal to another place or another database.
    Journal(copy::Journal),
    /// Show and operate the sinks of a running receiver.
    Sinks(sinks::Sinks),
    /// Set up the platform, and work on its batch tasks.
    Platform(platform::Platform),
    /// Make certificates for trials.
    Tls(tls::Tls),
    /// Print completions for a shell.
    Completions(manual::Completions),
    /// Print the man page, or write the page of every command.
    Man(manual::Man),
}

/// Runs the program with its arguments. Errors are printed to stderr.
pub async fn run() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Some(Command::Serve(serve)) => serve.run().await,
            Some(Command::Check(check)) => check.run().await,
            Some(Command::Send(send)) => send.run().await,
            Some(Command::Tasks(tasks)) => tasks.run().await,
            Some(Command::Task(task)) => task.run().await,
            Some(Command::Wait(wait)) => wait.run().await,
            Some(Command::Tail(tail)) => tail.run().await,
            Some(Command::Export(export)) => export.run().await,
            Some(Command::Status(status)) => status.run().await,
            Some(Command::Health(health)) => health.run().await,
            Some(Command::Quarantine(quarantine)) => quarantine.run().await,
            Some(Command::Backup(backup)) => backup.run(),
            Some(Command::Restore(restore)) => restore.run(),
            Some(Command::Prune(prune)) => prune.run().await,
            Some(Command::Journal(journal)) => journal.run().await,
            Some(Command::Sinks(sinks)) => sinks.run().await,
            Some(Command::Platform(platform)) => platform.run().await,
            Some(Command::Tls(tls)) => tls.run(),
            Some(Command::Completions(completions)) => completions.run(Self::command()),
            Some(Command::Man(man)) => man.run(Self::command()),
            None => self.serve.run().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
