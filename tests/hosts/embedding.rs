//! The programs of `examples/`: a receiver inside another program, and an adapter in
//! another language.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::artifacts::{artifact, compose, root};
use super::process::{Process, free_address};
use super::tools::{COMPONENTIZE, JCO, WASMTIME, tool};
use crate::support::EXAMPLE;
use crate::support::client::Client;

const BODY: &str = "tests/samples/seed-example.json";

/// Runs a command, which must succeed. Returns its standard output.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Returns a program of `examples/`, which `cargo test` builds.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a path");
    let target = test
        .parent()
        .and_then(Path::parent)
        .expect("a target folder");
    Command::new(target.join("examples").join(name))
}

#[test]
fn with_the_library() {
    let said = output(example("embedding").arg(root().join(BODY)));
    assert!(said.starts_with("accept: 200 recorded\n"), "{said}");
    assert!(said.contains("exchange: 200 duplicate\n"), "{said}");
    assert!(said.contains("\"events\":1"), "{said}");
}

#[test]
fn with_wasmtime_alone() {
    let mut program = example("wasmtime");
    program
        .arg(artifact("receiver.wasm"))
        .arg(root().join(BODY));
    let said = output(&mut program);
    assert!(
        said.starts_with("accept: Ok(Outcome::Recorded)\n"),
        "{said}"
    );
    for way in ["exchange", "incoming-handler"] {
        assert!(
            said.contains(&format!("{way}: 200 {{\"outcome\":\"duplicate\"")),
            "{said}"
        );
    }
}

#[test]
fn in_javascript() {
    let Some(jco) = tool(JCO) else { return };
    // In the folder of the packages, because Node looks for them there.
    let folder = tempfile::tempdir_in(root().join("target/tools")).expect("a folder");
    for file in ["embed.js", "journal.js", "settings.js", "package.json"] {
        let source = root().join("examples/embedding-js").join(file);
        fs::copy(source, folder.path().join(file)).expect("a copy");
    }
    let mut transpile = Command::new("node");
    transpile
        .arg(jco)
        .arg("transpile")
        .arg(artifact("receiver.wasm"));
    transpile.arg("-o").arg(folder.path().join("receiver"));
    transpile.args(["--map", "batchtask:receiver/journal=../journal.js"]);
    transpile.args(["--map", "batchtask:receiver/settings=../settings.js"]);
    output(&mut transpile);
    let mut node = Command::new("node");
    node.arg(folder.path().join("embed.js"))
        .arg(root().join(BODY));
    node.arg(free_address().port().to_string());
    assert_eq!(output(&mut node), "1a7ffc5c-d89c-44dd-8265 is Waitting\n");
}

#[tokio::test]
async fn an_adapter_in_javascript() {
    let (Some(componentize), Some(wasmtime)) = (tool(COMPONENTIZE), tool(WASMTIME)) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let [adapter, receiver] =
        ["adapter.wasm", "receiver.wasm"].map(|name| folder.path().join(name));
    let mut build = Command::new("node");
    build
        .current_dir(root())
        .arg(componentize)
        .args(["-w", "wit", "-n", "adapter"]);
    build
        .args(["-d", "http", "-d", "random", "-o"])
        .arg(&adapter);
    output(build.arg("examples/adapter-js/adapter.js"));
    compose(&adapter, &receiver);

    let log = folder.path().join("log");
    let address = free_address();
    let mut serve = Command::new(wasmtime);
    serve
        .args(["serve", "-Scli", "--addr", &address.to_string()])
        .arg(&receiver);
    serve.stdout(fs::File::create(&log).expect("a file"));
    let process = Process::start(serve, address);
    Client::new(address)
        .post(EXAMPLE)
        .await
        .expect(200, "recorded");
    drop(process);
    let said = fs::read_to_string(log).expect("text");
    let line = said
        .lines()
        .find_map(|line| line.split_once("stdout [0] :: "));
    let (_, event) = line.unwrap_or_else(|| panic!("a line: {said}"));
    let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(event["status"], "Waitting");
    assert_eq!(event["body"], EXAMPLE);
}
