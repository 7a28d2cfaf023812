//! Clients that are generated from the description work, and linters find nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::schemathesis::{DESCRIPTION, FOLDER};
use crate::hosts::artifacts::root;
use crate::hosts::tools::{
    NODE_MODULES, OPENAPI_PYTHON_CLIENT, OPENAPI_TYPESCRIPT, PYTHON, REDOCLY, SPECTRAL, TYPESCRIPT,
    tool,
};
use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::notifications::Notification;

/// A receiver with tasks whose answers have every kind of member.
async fn receiver(folder: &Path) -> Host {
    let setup = Setup::in_folder(folder).variable(QUIET);
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    let mut client = host.client();
    for (serial, task, status) in [
        (1, "ok", "Processing"),
        (2, "ok", "Success"),
        (3, "gap", "Fail"),
        (4, "odd", "Paused"),
    ] {
        let changed = Notification {
            task_id: task.into(),
            status: status.into(),
            ..Notification::numbered(serial)
        };
        client.post(changed.body()).await.expect(200, "recorded");
    }
    for body in [&b"{}"[..], b"no JSON", b"\xff"] {
        client.post(body).await.expect(200, "quarantined");
    }
    host
}

/// Runs a command, which must succeed. Returns what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{printed}{errors}");
    printed
}

/// Asks for no news and sends none.
fn quiet(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    command
}

#[tokio::test]
async fn a_generated_python_client_works_on_every_answer() {
    let (Some(generator), Some(python)) = (tool(OPENAPI_PYTHON_CLIENT), tool(PYTHON)) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = receiver(folder.path()).await;
    // It formats what it generates with a program beside it.
    let beside = generator.parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut generate = Command::new(generator);
    generate
        .env("PATH", format!("{}:{path}", beside.display()))
        .args(["generate", "--path", DESCRIPTION, "--meta", "none"])
        .args(["--fail-on-warning", "--output-path"])
        .arg(folder.path().join("batchtask_client"));
    run(&mut generate);
    let mut used = Command::new(python);
    used.env("PYTHONPATH", folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(Path::new(FOLDER).join("client.py"))
        .args([&format!("http://{}", host.address()), READ_TOKEN]);
    assert!(run(&mut used).contains("works"));
}

#[tokio::test]
async fn a_generated_typescript_client_compiles_and_works() {
    let (Some(generator), Some(compiler), Some(modules)) = (
        tool(OPENAPI_TYPESCRIPT),
        tool(TYPESCRIPT),
        tool(NODE_MODULES),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = receiver(folder.path()).await;
    let place = folder.path();
    std::os::unix::fs::symlink(modules, place.join("node_modules")).unwrap();
    fs::write(place.join("package.json"), r#"{"type":"module"}"#).unwrap();
    fs::copy(Path::new(FOLDER).join("client.ts"), place.join("client.ts")).unwrap();
    let mut generate = Command::new("node");
    generate
        .arg(generator)
        .arg(DESCRIPTION)
        .arg("-o")
        .arg(place.join("api.d.ts"));
    run(&mut generate);
    let mut compile = Command::new("node");
    compile
        .arg(compiler)
        .current_dir(place)
        .args(["--strict", "--target", "es2022", "--module", "nodenext"])
        .args(["--lib", "es2022,dom,dom.iterable", "client.ts"]);
    run(&mut compile);
    let mut used = Command::new("node");
    used.current_dir(place)
        .arg("client.js")
        .args([&format!("http://{}", host.address()), READ_TOKEN]);
    assert!(run(&mut used).contains("works"));
}

#[test]
fn two_linters_find_nothing() {
    let (Some(redocly), Some(spectral)) = (tool(REDOCLY), tool(SPECTRAL)) else {
        return;
    };
    run(quiet(redocly)
        .current_dir(root())
        .args(["lint", DESCRIPTION, "--extends", "recommended-strict"])
        // `/health` has no answer that blames the client.
        .args(["--skip-rule", "operation-4xx-response"]));
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.yaml");
    fs::write(&rules, "extends: [\"spectral:oas\"]\n").unwrap();
    let mut lint = quiet(spectral);
    lint.args(["lint", DESCRIPTION, "--fail-severity", "hint"]);
    run(lint.arg("--ruleset").arg(rules));
}
