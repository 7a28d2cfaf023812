//! [`Collector`]: a collector of traces that reads OTLP with the library of OpenTelemetry.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::sync::watch;

use crate::hosts::tools::{PYTHON, tool};
use crate::support::PATIENCE;

const SCRIPT: &str = include_str!("collector.py");

/// A collector that runs until it is dropped.
pub(super) struct Collector {
    child: Child,
    port: u16,
    spans: watch::Receiver<Vec<Value>>,
}

impl Collector {
    /// Starts a collector that accepts everything. Returns `None` without the tools.
    pub(super) fn start() -> Option<Self> {
        Self::start_with(200, None)
    }

    /// Starts a collector that answers with this status, perhaps with the certificate in a
    /// folder.
    pub(super) fn start_with(status: u16, certificate: Option<&Path>) -> Option<Self> {
        let python = tool(PYTHON)?;
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT, &status.to_string()]);
        if let Some(folder) = certificate {
            command.args([folder.join("cert.pem"), folder.join("key.pem")]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = lines.next().expect("a port").expect("a line");
        let (sender, spans) = watch::channel(Vec::new());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let span = serde_json::from_str(&line).expect("JSON");
                sender.send_modify(|spans: &mut Vec<Value>| spans.push(span));
            }
        });
        Some(Self {
            child,
            port: port.parse().expect("a port"),
            spans,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Waits until there are spans with all these names, and returns all spans.
    pub(super) async fn has(&self, names: &[&str]) -> Vec<Value> {
        let has = |spans: &Vec<Value>| {
            let has = |name: &&str| spans.iter().any(|span| span["name"] == **name);
            names.iter().all(has)
        };
        let mut spans = self.spans.clone();
        let found = tokio::time::timeout(PATIENCE, spans.wait_for(has)).await;
        let found = found.ok().and_then(|found| Some(found.ok()?.clone()));
        found.unwrap_or_else(|| panic!("not all of {names:?}: {:#?}", self.spans()))
    }

    /// Returns all spans so far.
    pub(super) fn spans(&self) -> Vec<Value> {
        self.spans.borrow().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
