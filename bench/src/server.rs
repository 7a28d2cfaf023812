//! [`Server`]: a server as a process, and its use of processor time and memory.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, ensure};

/// The number of clock ticks a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;

/// How long a server may take until it listens. Node's server compiles in that time.
const START: Duration = Duration::from_secs(60);

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    process: Child,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// The address of its admin listener, if it has one.
    pub(crate) admin: Option<SocketAddr>,
}

impl Server {
    /// Starts it, and waits until it prints its address.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = command
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} did not start"))?;
        let (sender, lines) = mpsc::channel();
        let stderr = process.stderr.take().context("no stderr")?;
        let stdout = process.stdout.take().context("no stdout")?;
        // Both are read to their ends, so that the pipes do not fill up.
        forward(stderr, sender.clone());
        forward(stdout, sender);
        // From here on, it is killed even after an error.
        let mut server = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
        };
        loop {
            let line: String = lines
                .recv_timeout(START)
                .with_context(|| format!("{command:?} did not listen"))?;
            // A journal in PostgreSQL has an address, and a collector of traces, too.
            let others = ["the journal is", "traces:"];
            let is_other = others.iter().any(|other| line.contains(other));
            let found = address_in(&line).filter(|_| !is_other);
            let Some(address) = found else {
                continue;
            };
            if line.contains("admin listening") {
                server.admin = Some(address);
            } else {
                server.address = address;
                return Ok(server);
            }
        }
    }

    /// Reads the metrics from its admin listener.
    pub(crate) fn metrics(&self) -> anyhow::Result<String> {
        get(self.admin.context("no admin listener")?, "/metrics", "")
    }

    /// Reads a resource, which must succeed, and returns the body.
    pub(crate) fn get(&self, target: &str, read_token: &str) -> anyhow::Result<String> {
        let authorization = format!("Authorization: Bearer {read_token}\r\n");
        get(self.address, target, &authorization)
    }

    /// Returns the processor time that the process has used so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The fields come after the name in parentheses, which may contain anything.
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let ticks = rest.split_whitespace().skip(11).take(2);
        let ticks: Vec<f64> = ticks.map(str::parse).collect::<Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() / TICKS)
    }

    /// Returns a figure of `/proc/PID/status` in MiB: `VmHWM` is the peak of the memory,
    /// `VmRSS` the memory now.
    pub(crate) fn mib(&self, name: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.context("no such figure")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn forward(from: impl std::io::Read + Send + 'static, to: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // The receiver is gone once the address is known.
            let _ = to.send(line);
        }
    });
}

fn get(address: SocketAddr, target: &str, headers: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
    Ok(body.to_owned())
}

/// Returns the address in a line such as `… http://127.0.0.1:8080/` or
/// `… localhost:8080...`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let line = line.replace("localhost:", "127.0.0.1:");
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    let port = &rest[..digits.unwrap_or(rest.len())];
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_the_lines_of_servers() {
        for (line, port) in [
            ("INFO listening on http://127.0.0.1:8080", Some(8080)),
            ("Serving HTTP on http://127.0.0.1:81/", Some(81)),
            ("Server listening @ localhost:9...", Some(9)),
            ("started", None),
        ] {
            assert_eq!(
                address_in(line).map(|address| address.port()),
                port,
                "{line}"
            );
        }
    }
}
