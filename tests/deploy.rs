//! The files in `deploy/`: validators accept them, the program accepts their
//! configurations, and systemd and nginx run them.
//!
//! - `booted`: systemd boots, and runs the commands of `docs/installation.md`.
//! - `nginx`: nginx in front of a host.

mod booted;
pub(crate) mod nginx;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::alerts::metrics_in;
use crate::hosts::artifacts::root;
use crate::hosts::tools::{CHECK_JSONSCHEMA, KUBERNETES_VALIDATE, tool};
use crate::support::EXAMPLE;
use crate::support::client::Client;
use crate::support::host::Setup;
use crate::support::mounts::hidden_processes;
use crate::support::program::Program;
use crate::support::tls::{Caller, self_signed, with_certificate};

/// Runs a validator, which must succeed, and returns what it printed. If it is not
/// installed, prints a line.
pub(crate) fn validate(command: &mut Command) -> String {
    let program = command.get_program().display().to_string();
    let Ok(output) = command.output() else {
        eprintln!("skipped: {program} is not installed");
        return String::new();
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    said
}

fn deploy(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap()
}

#[test]
fn the_units_are_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let program = format!("ExecStart={} ", env!("CARGO_BIN_EXE_batchtask"));
    for unit in ["batchtask.service", "batchtask.socket"] {
        let unit_text = text(&format!("systemd/{unit}")).replace("ExecStart=batchtask ", &program);
        fs::write(folder.path().join(unit), unit_text).unwrap();
    }
    let verify = ["verify", "batchtask.service", "batchtask.socket"];
    // More than 1.5 of 10 is a failure.
    let security = ["security", "--offline=true", "--threshold=15"];
    for arguments in [
        &verify[..],
        &[&security[..], &["batchtask.service"]].concat(),
    ] {
        let mut analyze = Command::new("systemd-analyze");
        let said = validate(analyze.args(arguments).current_dir(folder.path()));
        // An unknown option is only a warning.
        let is_of_ours = |line: &str| line.contains("/batchtask.s");
        assert!(!said.lines().any(is_of_ours), "{said}");
    }
}

#[test]
fn compose_files_follow_the_schema() {
    let Some(validator) = tool(CHECK_JSONSCHEMA) else {
        return;
    };
    let mut check = Command::new(validator);
    check.args(["--builtin-schema", "vendor.compose-spec"]);
    check.arg(deploy("container/compose.yaml"));
    check.arg(deploy("container/compose.postgres.yaml"));
    validate(&mut check);
}

#[test]
fn kubernetes_files_follow_the_schemas() {
    let Some(validator) = tool(KUBERNETES_VALIDATE) else {
        return;
    };
    let mut check = Command::new(validator);
    check.arg("--strict");
    check.arg(deploy("kubernetes/sqlite.yaml"));
    check.arg(deploy("kubernetes/postgres.yaml"));
    validate(&mut check);
}

/// Returns the configuration in a file: all of it, or the block of a YAML file.
fn configuration(file: &str) -> String {
    let text = text(file);
    let is_block = |line: &str| line.ends_with("batchtask.toml: |") || line.ends_with("content: |");
    let mut lines = text.lines().skip_while(|line| !is_block(line));
    let Some(first) = lines.next() else {
        return text;
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(first);
    let block = lines.take_while(|line| line.trim().is_empty() || indent(line) > outer);
    block
        .map(|line| format!("{}\n", line.trim_start()))
        .collect()
}

#[test]
fn every_configuration_is_valid() {
    for file in [
        "systemd/batchtask.toml",
        "container/batchtask.toml",
        "container/compose.postgres.yaml",
        "kubernetes/sqlite.yaml",
        "kubernetes/postgres.yaml",
    ] {
        let folder = tempfile::tempdir().unwrap();
        self_signed(folder.path());
        for secret in ["path_secret", "read_token"] {
            let secret_file = folder.path().join(format!("batchtask.{secret}"));
            fs::write(secret_file, "0123456789abcdef\n").unwrap();
        }
        let is_local = |line: &&str| !line.starts_with("journal = \"postgres:");
        let settings = configuration(file);
        let mut settings = settings
            .lines()
            .filter(is_local)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(settings.contains("read_token"), "{file}: {settings}");
        for (place, in_folder) in [
            ("/etc/batchtask/certs/", ""),
            ("/run/secrets/tls/tls.crt", "cert.pem"),
            ("/run/secrets/tls/tls.key", "key.pem"),
            ("/run/secrets/batchtask/", "batchtask."),
            ("/run/secrets/", "batchtask."),
            ("/var/lib/batchtask/", ""),
            ("\":8443\"", "\":0\""),
            ("\":8080\"", "\":0\""),
            ("\":9090\"", "\":0\""),
        ] {
            settings = settings.replace(place, in_folder);
        }
        fs::write(folder.path().join("batchtask.toml"), settings).unwrap();
        let check = Program::new(["check", "--config", "batchtask.toml"]);
        check.in_folder(folder.path()).run().expect(0);
    }
}

/// Returns all queries of the dashboard.
fn queries(of: &Value) -> Vec<String> {
    match of {
        Value::Array(values) => values.iter().flat_map(queries).collect(),
        Value::Object(members) => {
            let own = members.get("expr").and_then(Value::as_str);
            let inner = members.values().flat_map(queries);
            own.map(String::from).into_iter().chain(inner).collect()
        }
        _ => Vec::new(),
    }
}

fn dashboard() -> Vec<String> {
    let dashboard = serde_json::from_str(&text("grafana/batchtask.json")).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "{queries:?}");
    queries
}

/// Some metrics exist only after the first notification.
#[tokio::test]
async fn every_metric_of_the_dashboard_exists() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = with_certificate(Setup::in_folder(folder.path()), folder.path());
    let host = setup.with_admin().start();
    let caller = Caller::trusting(&folder.path().join("ca.pem"));
    let mut client = Client::over_tls(host.address(), caller.config().into());
    client.post(EXAMPLE).await.expect(200, "recorded");
    let metrics = host.metrics().await;
    for name in metrics_in(&dashboard().join("\n")) {
        assert!(metrics.has(&name), "{name}");
    }
}

#[test]
fn every_query_of_the_dashboard_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut rules = String::from("groups:\n- name: dashboard\n  rules:\n");
    for (number, query) in dashboard().iter().enumerate() {
        let query = Value::from(query.replace("$__rate_interval", "5m"));
        rules += &format!("  - record: query{number}\n    expr: {query}\n");
    }
    fs::write(folder.path().join("rules.yml"), rules).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "rules", "rules.yml"]);
    validate(promtool.current_dir(folder.path()));
}

/// The unit hides everything in `/proc` but processes. Only the time of the start
/// needs more.
#[tokio::test]
async fn a_host_that_sees_only_its_process_reports_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let Some(hidden) = hidden_processes() else {
        return;
    };
    let host = Setup::in_folder(folder.path()).with_admin().under(hidden);
    let metrics = host.start().metrics().await;
    assert!(metrics.value("process_open_fds") > 0.0);
    assert!(metrics.value("process_resident_memory_bytes") > 0.0);
    assert!(!metrics.has("process_start_time_seconds"));
}
