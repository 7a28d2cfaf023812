//! systemd boots in namespaces of its own, and runs the commands of
//! `docs/installation.md` and `docs/operations.md` as they are written there.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::hosts::artifacts::root;

/// Makes the name of the example resolve to this machine.
const BEFORE: &str = "echo 127.0.0.1 receiver.example.com >> /etc/hosts\n";

/// Pushes while the service is restarted, reloaded and replaced: `send` fails if one of
/// them is not answered 200.
const UNDER_PUSHES: &str = "
(cd /etc/credstore && exec batchtask send --config /etc/batchtask/batchtask.toml --scenario life --tasks 60 --rate 50) &
for action in 'restart batchtask' 'reload batchtask' 'kill --kill-who=main --signal=USR2 batchtask'; do
    sleep 0.5
    systemctl $action
done
wait $!
systemctl is-active batchtask.service batchtask.socket
curl --silent http://127.0.0.1:9090/metrics | grep process_open_fds
";

fn manual(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// Returns the commands of the manuals. Those of the package are run by
/// `cargo xtask release --try`.
fn steps() -> String {
    let manual_of_operations = commands(&manual("operations.md"));
    assert!(manual_of_operations.contains("batchtask restore"));
    // They change the folder.
    let operations = format!("(\n{manual_of_operations})\n");
    let manual = manual("installation.md");
    let (_, manual) = manual.split_once("\n## systemd\n").unwrap();
    let (install, rest) = manual.split_once("### Upgrade").unwrap();
    let installation = [BEFORE, &commands(install), UNDER_PUSHES].concat();
    let steps = [installation, operations, commands(rest)].concat();
    assert!(steps.contains("userdel batchtask"), "{steps}");
    steps
}

/// Returns the blocks of commands of a text.
fn commands(text: &str) -> String {
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

#[test]
fn the_commands_of_the_manual_work() {
    let share = tempfile::tempdir().unwrap();
    copy(
        Path::new(env!("CARGO_BIN_EXE_batchtask")),
        &share.path().join("target/release/batchtask"),
    );
    for entry in fs::read_dir(root().join("deploy/systemd")).unwrap() {
        let entry = entry.unwrap();
        let to = share.path().join("deploy/systemd").join(entry.file_name());
        copy(&entry.path(), &to);
    }
    fs::write(share.path().join("steps.sh"), steps()).unwrap();
    let mut boot = Command::new("bash");
    boot.arg(root().join("tests/deploy/boot.sh"))
        .arg(share.path());
    let output = boot.output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("skipped: systemd cannot be booted here");
        return;
    }
    let said = fs::read_to_string(share.path().join("said")).unwrap_or_default();
    assert!(output.status.success(), "{said}{output:?}");
}
