//! Installs, runs and upgrades a release, by scripts that print what they do and see. They
//! need root, and the Debian packages that they name.

use std::path::Path;
use std::process::Command;

use super::program;
use crate::command::run;

/// Installs the package in an empty Debian that boots systemd, and runs the image without a
/// container engine, and the program in an empty folder.
pub(super) fn install(root: &Path, release: &Path) -> anyhow::Result<()> {
    run(script(root, "trial.sh").arg(release).arg(super::work(root)))
}

/// Upgrades a receiver that the program `old` runs to the release, and goes back.
pub(super) fn upgrade(root: &Path, old: &Path) -> anyhow::Result<()> {
    run(script(root, "upgrade.sh").args([old, &program::path(root)]))
}

fn script(root: &Path, name: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.current_dir(root)
        .arg(root.join("xtask/src/release").join(name));
    bash
}
