//! [`Contender`]: the servers that are measured. They accept notifications over HTTP.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::server::Server;

/// The receiver with the adapter that stores nothing. `cargo xtask bench` builds it.
const COMPONENT: &str = "target/bench/receiver-nothing.wasm";
/// The same component with `wasi:http` only.
const WASI_HTTP_ONLY: &str = "target/bench/receiver-nothing-wasi-http.wasm";

/// A group of servers that are compared in a table, with the first one as the base.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Group {
    /// Every notification is durable before it is answered.
    Durable,
    /// Nothing is stored, to measure HTTP and the component only.
    Nothing,
}

/// A server that is measured.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    program: PathBuf,
    arguments: Vec<String>,
    /// The text before the journal's path in the argument of `--journal`, or `None`
    /// without a journal.
    journal: Option<&'static str>,
    /// The option for the port, if the server cannot choose a free one itself.
    port: Option<&'static str>,
}

/// Returns the path of the program `batchtask`, which is in the folder of this program.
pub(crate) fn batchtask() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("batchtask");
    ensure!(
        program.exists(),
        "`{}` is not built: run `cargo xtask bench`, which builds it",
        program.display()
    );
    Ok(program)
}

/// The arguments with which `batchtask` is always started.
pub(crate) const SERVE: [&str; 5] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--log",
    "batchtask=info",
];

impl Contender {
    /// Returns all contenders that are installed, and the names of the missing ones.
    pub(crate) fn all() -> anyhow::Result<(Vec<Self>, Vec<&'static str>)> {
        let mut all = ours()?;
        let mut missing = Vec::new();
        for other in others() {
            if other.program.exists() {
                all.push(other);
            } else {
                missing.push(other.name);
            }
        }
        Ok((all, missing))
    }

    /// Starts it with an empty journal in this folder.
    pub(crate) fn start(&self, folder: &Path, cores: Option<usize>) -> anyhow::Result<Server> {
        let mut command = on_cores(&self.program, cores);
        // The baseline has no limit either.
        command.env("BATCHTASK_MAX_IN_FLIGHT", "4096");
        command.args(&self.arguments);
        if let Some(scheme) = self.journal {
            let path = folder.join("journal.db");
            command.arg("--journal");
            command.arg(format!("{scheme}{}", path.display()));
        }
        if let Some(option) = self.port {
            let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            command.args([option, &free.to_string()]);
        }
        Server::start(&mut command)
    }
}

/// Returns a command that uses only this many cores.
pub(crate) fn on_cores(program: &Path, cores: Option<usize>) -> Command {
    let Some(cores) = cores else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    let list = format!("0-{}", cores.saturating_sub(1));
    command.args(["--cpu-list", &list]).arg(program);
    command
}

/// Returns the contenders that this workspace builds.
fn ours() -> anyhow::Result<Vec<Contender>> {
    let (program, this) = (batchtask()?, std::env::current_exe()?);
    let host = |name, group, more: &[&str]| Contender {
        arguments: [&SERVE[..], &["--admin", "off"], more]
            .concat()
            .into_iter()
            .map(String::from)
            .collect(),
        journal: Some("sqlite:"),
        program: program.clone(),
        ..contender(name, group)
    };
    let bench = |name, group, arguments: &[&str], journal| Contender {
        arguments: arguments
            .iter()
            .map(|argument| argument.to_string())
            .collect(),
        journal,
        program: this.clone(),
        ..contender(name, group)
    };
    let wasi_http = ["--component", WASI_HTTP_ONLY];
    use Group::{Durable, Nothing};
    Ok(vec![
        bench("native axum", Durable, &["baseline"], Some("")),
        host("batchtask", Durable, &["--instance-reuse", "1000"]),
        host(
            "batchtask, fresh instances",
            Durable,
            &["--instance-reuse", "1"],
        ),
        bench("native axum, parse only", Nothing, &["baseline"], None),
        bench(
            "batchtask",
            Nothing,
            &["nothing", "--instance-reuse", "1000"],
            None,
        ),
        bench(
            "batchtask, fresh instances",
            Nothing,
            &["nothing", "--instance-reuse", "1"],
            None,
        ),
        host(
            "batchtask over wasi:http",
            Nothing,
            &[&wasi_http[..], &["--instance-reuse", "1000"]].concat(),
        ),
        host(
            "batchtask over wasi:http, fresh instances",
            Nothing,
            &[&wasi_http[..], &["--instance-reuse", "1"]].concat(),
        ),
    ])
}

/// Returns the third-party contenders, which `cargo xtask tools` installs.
fn others() -> Vec<Contender> {
    let tools = Path::new("target/tools");
    let other = |name, program: &str, arguments: &[&str]| Contender {
        program: tools.join(program),
        arguments: arguments
            .iter()
            .map(|argument| argument.to_string())
            .collect(),
        ..contender(name, Group::Nothing)
    };
    let serve = ["serve", "--addr", "127.0.0.1:0"];
    vec![
        other(
            "wasmtime serve, 1000 requests an instance",
            "bin/wasmtime",
            &[
                &serve[..],
                &["--max-instance-reuse-count", "1000", WASI_HTTP_ONLY],
            ]
            .concat(),
        ),
        other(
            "wasmtime serve, fresh instances",
            "bin/wasmtime",
            &[
                &serve[..],
                &["--max-instance-reuse-count", "1", WASI_HTTP_ONLY],
            ]
            .concat(),
        ),
        Contender {
            port: Some("--port"),
            ..other("jco serve", "node_modules/.bin/jco", &["serve", COMPONENT])
        },
    ]
}

fn contender(name: &'static str, group: Group) -> Contender {
    Contender {
        name,
        group,
        program: PathBuf::new(),
        arguments: Vec::new(),
        journal: None,
        port: None,
    }
}

/// Writes the component with `wasi:http` only: its `intake` is renamed, so that hosts do
/// not find it. The new name has the same length, so that nothing else in the binary
/// moves.
pub(crate) fn prepare() -> anyhow::Result<()> {
    const NAME: &[u8] = b"batchtask:receiver/intake@";
    const OTHER: &[u8] = b"batchtask:receiver/unseen@";
    let mut component = std::fs::read(COMPONENT)?;
    while let Some(at) = component
        .windows(NAME.len())
        .position(|found| found == NAME)
    {
        component[at..at + NAME.len()].copy_from_slice(OTHER);
    }
    Ok(std::fs::write(WASI_HTTP_ONLY, component)?)
}
