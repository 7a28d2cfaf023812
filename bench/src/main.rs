//! Measures the host against a native baseline, in one run on one machine: the
//! figures of two machines, or of two days, say nothing of each other.
//!
//! - [`baseline`]: a native axum handler with the same parser and journal.
//! - [`load`]: keeps connections busy with notifications no two of which are
//!   the same, and checks every answer.
//! - [`contender`]: a server that is measured: starts it, reads what it used.

mod baseline;
mod contender;
mod load;

use std::path::PathBuf;

use clap::Parser;

use crate::contender::{Contender, Measured};

#[derive(Parser)]
enum Command {
    /// Serve the baseline.
    Baseline {
        /// The journal's file.
        #[arg(long)]
        journal: PathBuf,
    },
    /// Run every contender in turn, several times, and print a table.
    Run {
        /// The program to measure.
        #[arg(long, default_value = "target/release/batchtask")]
        batchtask: PathBuf,
        /// How many connections are kept busy.
        #[arg(long, value_delimiter = ',', default_value = "1,64")]
        connections: Vec<usize>,
        /// How long each contender is measured in a round.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// How often all of them are run.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Baseline { journal } => baseline::serve(journal).await,
        Command::Run {
            batchtask,
            connections,
            seconds,
            rounds,
        } => {
            let contenders = Contender::all(&batchtask)?;
            for connections in connections {
                table(&contenders, connections, seconds, rounds).await?;
            }
            Ok(())
        }
    }
}

/// Runs every contender in every round, and prints the median of its rounds.
async fn table(
    contenders: &[Contender],
    connections: usize,
    seconds: u64,
    rounds: usize,
) -> anyhow::Result<()> {
    let mut measured: Vec<Vec<Measured>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, measured) in contenders.iter().zip(&mut measured) {
            measured.push(contender.measure(connections, seconds).await?);
        }
    }
    let base = median(&measured[0], |measured| measured.rate);
    emit(&format!(
        "\n{connections} connections, {seconds} s, {rounds} rounds, medians\n\n\
         | contender | durable/s | ratio | spread | p50 ms | p99 ms | CPU µs | peak MiB |\n\
         |---|---|---|---|---|---|---|---|"
    ));
    for (contender, measured) in contenders.iter().zip(&measured) {
        let rate = median(measured, |measured| measured.rate);
        let rates = measured.iter().map(|measured| measured.rate);
        let least = rates.clone().fold(f64::INFINITY, f64::min);
        let greatest = rates.fold(0.0, f64::max);
        emit(&format!(
            "| {} | {rate:.0} | {:.2} | {least:.0}–{greatest:.0} | {:.2} | {:.2} | {:.1} | {:.1} |",
            contender.name,
            rate / base,
            median(measured, |measured| measured.p50_ms),
            median(measured, |measured| measured.p99_ms),
            median(measured, |measured| measured.cpu_us),
            median(measured, |measured| measured.peak_mib),
        ));
    }
    Ok(())
}

fn median(measured: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    let mut figures: Vec<f64> = measured.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[allow(clippy::print_stdout, reason = "the result of the command")]
fn emit(line: &str) {
    println!("{line}");
}
