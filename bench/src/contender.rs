//! A server that is measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::load;

/// Before each measurement: code is paged in, instances exist.
const WARM_UP: Duration = Duration::from_millis(500);

/// Clock ticks a second in `/proc`, on every Linux there is.
const TICKS: f64 = 100.0;

/// A server that is measured.
pub(crate) struct Contender {
    /// What the table calls it.
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    /// What comes before the journal's path, as an argument.
    journal: &'static str,
}

/// What a contender did in one round.
pub(crate) struct Measured {
    /// Notifications acknowledged a second.
    pub(crate) rate: f64,
    /// The median of their times.
    pub(crate) p50_ms: f64,
    /// The 99th percentile of their times.
    pub(crate) p99_ms: f64,
    /// What each took of the processor.
    pub(crate) cpu_us: f64,
    /// The most memory the server had.
    pub(crate) peak_mib: f64,
}

impl Contender {
    /// All of them; the first is what the others are compared with.
    pub(crate) fn all(batchtask: &Path) -> anyhow::Result<Vec<Self>> {
        ensure!(batchtask.exists(), "`{}` is not built", batchtask.display());
        let host = |name, extra: &[&str]| Self {
            name,
            program: batchtask.into(),
            arguments: [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "off",
                "--log",
                "batchtask::cli=info",
            ]
            .iter()
            .chain(extra)
            .map(|argument| argument.to_string())
            .collect(),
            journal: "sqlite:",
        };
        Ok(vec![
            Self {
                name: "native axum",
                program: std::env::current_exe()?,
                arguments: vec!["baseline".into()],
                journal: "",
            },
            host("batchtask", &[]),
            host("batchtask, fresh instances", &["--instance-reuse", "1"]),
        ])
    }

    /// Starts it on an empty journal, measures it, and ends it.
    pub(crate) async fn measure(
        &self,
        connections: usize,
        seconds: u64,
    ) -> anyhow::Result<Measured> {
        let folder = tempfile::tempdir_in(".")?;
        let journal = folder.path().join("journal.db");
        let mut server = Server(
            Command::new(&self.program)
                .args(&self.arguments)
                .arg("--journal")
                .arg(format!("{}{}", self.journal, journal.display()))
                .env_remove("RUST_BACKTRACE")
                .stderr(Stdio::piped())
                .spawn()
                .with_context(|| format!("cannot start `{}`", self.program.display()))?,
        );
        let address = server.address()?;
        load::run(address, connections, WARM_UP).await?;
        let before = server.cpu_seconds()?;
        let mut times = load::run(address, connections, Duration::from_secs(seconds)).await?;
        let cpu_seconds = server.cpu_seconds()? - before;
        times.sort_unstable();
        let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
        Ok(Measured {
            rate: times.len() as f64 / seconds as f64,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            cpu_us: cpu_seconds * 1e6 / times.len() as f64,
            peak_mib: server.peak_mib()?,
        })
    }
}

/// A running server, killed when it is dropped.
struct Server(Child);

impl Server {
    /// Where it says that it listens.
    fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let stderr = self.0.stderr.take().context("no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        for line in &mut lines {
            if let Some((_, address)) = line?.split_once("listening on http://") {
                let address = address.trim().parse()?;
                // Whatever else it says must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(address);
            }
        }
        anyhow::bail!("it ended before it listened")
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name in parentheses, which may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / TICKS)
    }

    fn peak_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.context("no VmHWM")?.trim().trim_end_matches(" kB");
        Ok(kib.trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
