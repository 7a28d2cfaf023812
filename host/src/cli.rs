//! The program `batchtask`.

mod logging;
mod serve;
mod tls;

use clap::{Parser, Subcommand};

/// Receives batch-task notifications of Huawei Cloud IoTDA and loses none.
#[derive(Parser)]
#[command(name = "batchtask", version, args_conflicts_with_subcommands = true)]
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

/// Runs the program with the arguments it was given.
pub async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Serve(serve)) => serve.run().await,
        Some(Command::Tls(tls)) => tls.run(),
        None => cli.serve.run().await,
    }
}
