//! Measures in rounds: all contenders in turn, several times, so that disturbances of the
//! machine affect all of them.

use std::path::Path;
use std::time::Duration;

use crate::contender::Contender;
use crate::load::{Answers, Load};
use crate::server::Server;

/// The duration of the load before each measurement, so that code is in memory and
/// instances exist.
pub(crate) const WARM_UP: Duration = Duration::from_millis(700);

/// The results of a contender in a round.
pub(crate) struct Measured {
    /// The number of acknowledged notifications a second.
    pub(crate) rate: f64,
    /// The median of their times.
    pub(crate) p50_ms: f64,
    /// The 99th percentile of their times.
    pub(crate) p99_ms: f64,
    /// The processor time of each.
    pub(crate) cpu_us: f64,
    /// The peak of the server's memory.
    pub(crate) peak_mib: f64,
    /// The number of notifications that were not acknowledged.
    pub(crate) failed: usize,
}

/// The results of a contender in all rounds.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Measured>);

impl Rounds {
    /// Returns the median of a figure over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.0.iter().map(figure))
    }

    /// Returns how many notifications were not acknowledged in all rounds.
    pub(crate) fn failed(&self) -> usize {
        self.0.iter().map(|measured| measured.failed).sum()
    }

    /// Returns the least and the greatest rate.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let rates = sorted(self.0.iter().map(|measured| measured.rate));
        let ends = rates.first().copied().zip(rates.last().copied());
        ends.unwrap_or((f64::NAN, f64::NAN))
    }

    pub(crate) fn push(&mut self, measured: Measured) {
        self.0.push(measured);
    }
}

/// Returns the median of figures, or NaN if there are none.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let figures = sorted(figures);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// Runs all contenders one after the other, in each of the rounds.
pub(crate) async fn rounds(
    contenders: &[&Contender],
    load: Load,
    rounds: usize,
    cores: Option<usize>,
) -> anyhow::Result<Vec<Rounds>> {
    let mut all: Vec<Rounds> = contenders.iter().map(|_| Rounds::default()).collect();
    for round in 1..=rounds {
        for (contender, rounds) in contenders.iter().zip(&mut all) {
            let connections = load.connections;
            eprintln!(
                "round {round}, {connections} connections: {}",
                contender.name
            );
            let folder = tempfile::tempdir_in("target/bench")?;
            let server = contender.start(folder.path(), cores)?;
            rounds.push(measure(&server, load).await?);
        }
    }
    Ok(all)
}

/// Warms a server up, and measures it under the load.
pub(crate) async fn measure(server: &Server, load: Load) -> anyhow::Result<Measured> {
    let warm_up = Load {
        time: WARM_UP,
        ..load
    };
    warm_up.put(server.address).await?;
    let before = server.cpu_seconds()?;
    let Answers { times, failed } = load.put(server.address).await?;
    let cpu_seconds = server.cpu_seconds()? - before;
    let count = times.len() as f64;
    Ok(Measured {
        rate: count / load.time.as_secs_f64(),
        p50_ms: quantile_ms(&times, 0.5),
        p99_ms: quantile_ms(&times, 0.99),
        cpu_us: cpu_seconds * 1e6 / count,
        peak_mib: server.mib("VmHWM")?,
        failed,
    })
}

/// Returns a quantile of sorted times in milliseconds.
pub(crate) fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    let time = sorted.get(at).or(sorted.last());
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// Returns the path of a file with results.
pub(crate) fn results(name: &str) -> std::path::PathBuf {
    Path::new("bench").join(name)
}
