//! [`Rhea`]: a broker in Node.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::certificates::Certificates;
use super::{ACCESS_CODE, PATIENCE, free_port, installed, tools};

/// The program.
const SCRIPT: &str = include_str!("rhea.js");

/// The name of its queue.
pub(crate) const QUEUE: &str = "DefaultQueue";

/// A broker. Dropping it ends it.
pub(crate) struct Rhea {
    pub(crate) certificates: Certificates,
    pub(crate) port: u16,
    process: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Rhea {
    /// Starts it with certificates in this folder. Returns `None` if it is not installed.
    pub(crate) async fn start(folder: &Path) -> Option<Self> {
        Self::start_with(Certificates::make(folder), free_port()).await
    }

    /// Starts it with these certificates, at a port.
    pub(crate) async fn start_with(certificates: Certificates, port: u16) -> Option<Self> {
        let library = installed(
            tools().join("node_modules/rhea"),
            "it by `cargo xtask tools`",
        )?;
        let options = json!({
            "key": certificates.key,
            "cert": certificates.cert,
            "port": port,
            "idle_ms": 2000,
        });
        let mut process = Command::new("node")
            .args(["--eval", SCRIPT, "--"])
            .arg(library)
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("`node` can be started");
        let stdin = process.stdin.take().expect("it is piped");
        let stdout = process.stdout.take().expect("it is piped");
        let mut broker = Self {
            certificates,
            port: 0,
            process,
            stdin,
            stdout: BufReader::new(stdout).lines(),
        };
        let port = broker.line().await["port"].as_u64().expect("a port");
        broker.port = u16::try_from(port).expect("a port");
        broker.rules(json!({ "access_codes": [ACCESS_CODE] })).await;
        Some(broker)
    }

    pub(crate) fn url(&self) -> String {
        format!("amqps://127.0.0.1:{}", self.port)
    }

    /// Ends it.
    pub(crate) async fn end(mut self) {
        self.process.kill().await.expect("it runs");
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Changes rules.
    pub(crate) async fn rules(&mut self, rules: Value) {
        self.command("rules", rules).await;
    }

    /// Puts bodies into the queue, in messages of this kind.
    pub(crate) async fn publish(&mut self, bodies: &[String], kind: &str) {
        let publish = json!({ "queue": QUEUE, "bodies": bodies, "kind": kind });
        self.command("publish", publish).await;
    }

    /// Cuts all connections.
    pub(crate) async fn cut(&mut self) {
        self.command("cut", Value::Null).await;
    }

    /// Returns its counts.
    pub(crate) async fn state(&mut self) -> Value {
        self.command("state", Value::Null).await
    }

    /// Returns one of its counts.
    pub(crate) async fn count(&mut self, name: &str) -> u64 {
        self.state().await[name].as_u64().expect("a number")
    }

    /// Waits until a count has a value.
    pub(crate) async fn counts(&mut self, name: &str, value: u64) {
        let waiting = async {
            while self.count(name).await != value {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("`{name}` is not {value}: {}", self.state().await);
        }
    }

    /// Waits until there are more logins than `before`, and returns their number.
    pub(crate) async fn logins_after(&mut self, before: u64) -> u64 {
        let waiting = async {
            loop {
                let logins = self.count("logins").await;
                if logins > before {
                    return logins;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("there are only {before} logins"))
    }

    async fn command(&mut self, name: &str, argument: Value) -> Value {
        let line = json!([name, argument]).to_string() + "\n";
        self.stdin
            .write_all(line.as_bytes())
            .await
            .expect("it reads");
        self.line().await
    }

    async fn line(&mut self) -> Value {
        let line = self.stdout.next_line().await.expect("it runs");
        serde_json::from_str(&line.expect("it runs")).expect("JSON")
    }
}
