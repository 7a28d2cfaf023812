//! The program `batchtask`.

mod logging;
mod serve;
mod tls;

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
    /// Make certificates for trials.
    Tls(tls::Tls),
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

/// Runs the program with the arguments it was given.
pub async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Serve(serve)) => serve.run().await,
        Some(Command::Tls(tls)) => tls.run(),
        None => cli.serve.run().await,
    }
}
