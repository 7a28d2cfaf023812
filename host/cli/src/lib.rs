//! The program `batchtask`.
//!
//! - `serve`, with `given` settings, `limits`, `logging` and `warnings` of what is
//!   probably not meant; `tls`: run a receiver.
//! - `backup`, with `restore`, and `prune`: look after a `journal`.
//! - `send`: plays the platform.
//! - `tasks`, `task`, `tail`, `export`: read a receiver, through `reader` and
//!   its `filter`s; `table`: columns for people.
//! - `client`: HTTP, for both; `answer`: answers and errors of a request.
//! - `manual`: completions and man pages.
//! - `exit`: exit codes.

mod answer;
mod backup;
mod client;
mod exit;
mod export;
mod filter;
mod given;
mod journal;
mod limits;
mod logging;
mod manual;
mod prune;
mod reader;
mod send;
mod serve;
mod table;
mod tail;
mod task;
mod tasks;
mod tls;
mod warnings;

use std::process::ExitCode;

use batchtask_guest::settings::{SETTINGS, Setting};
use clap::{Arg, CommandFactory, Parser, Subcommand};

/// Receives batch-task notifications of Huawei Cloud IoTDA and loses none.
#[derive(Parser)]
#[command(
    name = "batchtask",
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = receiver_settings()
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
    /// Post notifications as the platform would.
    Send(Box<send::Send>),
    /// List the tasks of a running receiver.
    Tasks(tasks::Tasks),
    /// Show a task of a running receiver, and what happened to it.
    Task(task::Task),
    /// Follow the events of a running receiver as they arrive.
    Tail(tail::Tail),
    /// Write the tasks or events of a running receiver as CSV or JSON Lines.
    Export(export::Export),
    /// Copy a journal, which may be in use, to a file.
    Backup(backup::Backup),
    /// Put a backup in the place of a journal.
    Restore(backup::Restore),
    /// Remove old tasks from a journal.
    Prune(prune::Prune),
    /// Make certificates for trials.
    Tls(tls::Tls),
    /// Print completions for a shell.
    Completions(manual::Completions),
    /// Print the man page, or write the page of every command.
    Man(manual::Man),
}

/// The table of the receiver's settings, for `--help`.
fn receiver_settings() -> String {
    let entry = |setting: &Setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let (name, text, form) = (setting.name, setting.text, setting.form);
        format!("  {name}\n          {text}: {form}{default}\n")
    };
    let entries: Vec<String> = SETTINGS.iter().map(entry).collect();
    format!(
        "Settings of the receiver, from the environment or the file of `--settings`:\n{}",
        entries.join("\n")
    )
}

/// Whether a variable is one that the program or the receiver reads.
fn is_known(name: &str) -> bool {
    let command = Cli::command();
    let mut commands = vec![&command];
    while let Some(command) = commands.pop() {
        let mut variables = command.get_arguments().filter_map(Arg::get_env);
        if variables.any(|variable| variable == name) {
            return true;
        }
        commands.extend(command.get_subcommands());
    }
    SETTINGS.iter().any(|setting| setting.name == name)
}

/// Runs the program with the arguments it was given; what is wrong goes to
/// stderr.
pub async fn run() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Some(Command::Serve(serve)) => serve.run(is_known).await,
            Some(Command::Send(send)) => send.run().await,
            Some(Command::Tasks(tasks)) => tasks.run().await,
            Some(Command::Task(task)) => task.run().await,
            Some(Command::Tail(tail)) => tail.run().await,
            Some(Command::Export(export)) => export.run().await,
            Some(Command::Backup(backup)) => backup.run(),
            Some(Command::Restore(restore)) => restore.run(),
            Some(Command::Prune(prune)) => prune.run().await,
            Some(Command::Tls(tls)) => tls.run(),
            Some(Command::Completions(completions)) => completions.run(Self::command()),
            Some(Command::Man(man)) => man.run(Self::command()),
            None => self.serve.run(is_known).await,
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
