//! `spin.toml` and `spin-forward.toml` by Spin's rules (manifest version 2).

use std::fs;
use std::path::PathBuf;

use toml::{Table, Value};

use super::artifacts::{artifact, root};

/// A manifest.
pub(crate) struct Manifest(Table);

impl Manifest {
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).expect("a manifest");
        Self(text.parse().expect("TOML"))
    }

    fn receiver(&self) -> &Table {
        table(&self.0, "component.receiver")
    }

    /// Builds the component that it names, and returns its path.
    pub(crate) fn component(&self) -> PathBuf {
        let source = self.receiver()["source"].as_str().expect("a path");
        let name = source.strip_prefix("dist/").expect("one of ours");
        artifact(name)
    }

    /// Checks the rules that Spin applies when it loads a manifest.
    fn check(&self) {
        expect_members(
            &self.0,
            &[
                "spin_manifest_version",
                "application",
                "variables",
                "trigger",
                "component",
            ],
        );
        assert_eq!(self.0["spin_manifest_version"].as_integer(), Some(2));
        let application = table(&self.0, "application");
        expect_members(application, &["name", "version", "description", "authors"]);
        assert!(is_id(application["name"].as_str().expect("a name"), '-'));
        self.check_trigger();
        self.check_component();
        self.check_variables();
    }

    fn check_trigger(&self) {
        let triggers = table(&self.0, "trigger")["http"]
            .as_array()
            .expect("a list");
        assert_eq!(triggers.len(), 1);
        let trigger = triggers[0].as_table().expect("a table");
        expect_members(trigger, &["id", "component", "route", "executor"]);
        assert_eq!(trigger["component"].as_str(), Some("receiver"));
        // Everything below the root, because the receiver handles all paths itself.
        assert_eq!(trigger["route"].as_str(), Some("/..."));
    }

    fn check_component(&self) {
        let receiver = self.receiver();
        let members = [
            "source",
            "description",
            "variables",
            "environment",
            "key_value_stores",
            "allowed_outbound_hosts",
            "build",
        ];
        expect_members(receiver, &members);
        let build = table(receiver, "build");
        expect_members(build, &["command", "workdir", "watch"]);
        assert_eq!(build["command"].as_str(), Some("cargo xtask dist"));
        for watched in build["watch"].as_array().expect("a list") {
            let folder = watched.as_str().and_then(|glob| glob.split_once('/'));
            let (folder, _) = folder.expect("a glob below a folder");
            assert!(root().join(folder).is_dir(), "{folder}");
        }
        for host in receiver["allowed_outbound_hosts"]
            .as_array()
            .expect("a list")
        {
            let host = host.as_str().expect("a host");
            assert!(host.contains("://") && !host.contains('*'), "{host}");
        }
    }

    /// Checks that each variable has a default, and is passed on by its name.
    fn check_variables(&self) {
        let Some(variables) = self
            .0
            .get("variables")
            .map(|value| value.as_table().expect("a table"))
        else {
            return;
        };
        let handed_on = table(self.receiver(), "variables");
        assert_eq!(variables.len(), handed_on.len());
        for (name, variable) in variables {
            assert!(is_id(name, '_'), "{name}");
            let variable = variable.as_table().expect("a table");
            expect_members(variable, &["description", "required", "default", "secret"]);
            assert!(variable["default"].is_str(), "{name}");
            let template = format!("{{{{ {name} }}}}");
            assert_eq!(handed_on[name].as_str(), Some(template.as_str()));
        }
    }
}

fn table<'a>(table: &'a Table, path: &str) -> &'a Table {
    path.split('.').fold(table, |table, name| {
        let member = table.get(name).and_then(Value::as_table);
        member.unwrap_or_else(|| panic!("a table `{name}`"))
    })
}

/// Checks that a table has known members only, because Spin refuses others.
fn expect_members(table: &Table, known: &[&str]) {
    for name in table.keys() {
        assert!(known.contains(&name.as_str()), "unknown member `{name}`");
    }
}

/// Returns whether a text consists of lower-case words with a separator between them,
/// each beginning with a letter.
fn is_id(text: &str, separator: char) -> bool {
    text.split(separator).all(|word| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

#[test]
fn the_manifest_of_the_storing_receiver_is_valid() {
    let manifest = Manifest::read("spin.toml");
    manifest.check();
    let stores = &manifest.receiver()["key_value_stores"];
    let bucket = &table(&manifest.0, "variables")["batchtask_bucket"]["default"];
    assert!(stores.as_array().expect("a list").contains(bucket));
    assert_eq!(
        manifest.receiver()["allowed_outbound_hosts"],
        Value::Array(vec![])
    );
}

#[test]
fn the_manifest_of_the_forwarding_receiver_is_valid() {
    let manifest = Manifest::read("spin-forward.toml");
    manifest.check();
    let receiver = manifest.receiver();
    assert!(!receiver.contains_key("key_value_stores"));
    let url = table(receiver, "environment")["BATCHTASK_FORWARD_URL"].as_str();
    let hosts = receiver["allowed_outbound_hosts"]
        .as_array()
        .expect("a list");
    let allowed = |host: &Value| url.unwrap().starts_with(host.as_str().unwrap());
    assert!(hosts.iter().any(allowed));
}

/// Spin ignores a variable that is not in its manifest, so the setting would have no
/// effect.
#[test]
fn every_setting_is_a_variable() {
    let manifest = Manifest::read("spin.toml");
    let variables = table(&manifest.0, "variables");
    for setting in batchtask_guest::settings::SETTINGS {
        let name = setting.name.to_ascii_lowercase();
        let variable = table(variables, &name);
        let is_secret = variable.get("secret").and_then(Value::as_bool);
        assert_eq!(is_secret.unwrap_or_default(), setting.secret, "{name}");
        assert_eq!(variable["default"].as_str(), Some(""), "{name}");
    }
    let bucket = usize::from(variables.contains_key("batchtask_bucket"));
    let settings = batchtask_guest::settings::SETTINGS.len();
    assert_eq!(variables.len(), settings + bucket, "and nothing else");
}
