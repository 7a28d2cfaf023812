//! The alerts for operators: every metric of the rules exists from the start, and every
//! rule fires when it should.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::acme::with_acme;
use crate::deploy::validate;
use crate::support::host::Setup;
use crate::support::tls::{self_signed, with_certificate};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

/// Returns the names of the metrics in rules or queries.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_of_name(c))
        .filter(|word| word.starts_with("batchtask_") || word.starts_with("process_"))
        .map(String::from)
        .collect()
}

#[tokio::test]
async fn every_metric_of_the_rules_exists_from_the_start() {
    let names = metrics_in(&std::fs::read_to_string(folder().join("rules.yml")).unwrap());
    assert!(names.len() > 10, "{names:?}");
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = with_certificate(Setup::in_folder(folder.path()), folder.path());
    let ca = folder.path().join("ca.pem");
    // No program listens there.
    let setup = setup
        .variable(("BATCHTASK_AMQP_URL", "amqps://127.0.0.1:1"))
        .variable(("BATCHTASK_AMQP_CA", ca.to_str().unwrap()))
        .variable(("BATCHTASK_AMQP_ACCESS_KEY", "key"))
        .variable(("BATCHTASK_AMQP_ACCESS_CODE", "code"));
    let host = setup.with_admin().start();
    let metrics = host.metrics().await;
    // A certificate from a CA and one in files exclude each other.
    let other = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(other.path());
    let cache = other.path().join("acme");
    let setup = with_acme(setup, &cache, "https://127.0.0.1:1/dir", &ca);
    let others = setup.start().metrics().await;
    for name in &names {
        assert!(metrics.has(name) || others.has(name), "{name}");
    }
}

#[test]
fn the_rules_fire_when_they_should() {
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        validate(promtool.args(arguments).current_dir(folder()));
    }
}

#[test]
fn every_rule_is_tested() {
    let read = |name| std::fs::read_to_string(folder().join(name)).unwrap();
    let (rules, tests) = (read("rules.yml"), read("rules_test.yml"));
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() >= 15, "{alerts:?}");
    for alert in alerts {
        let of_alert = format!("alertname: {alert}\n        exp_alerts:");
        assert!(tests.contains(&of_alert), "{alert} never fires");
        let silent = format!("alertname: {alert} }}");
        assert!(tests.contains(&silent), "{alert} is never silent");
    }
}
