//! Man pages and completions, which the program prints.

use std::path::{Path, PathBuf};

use super::program::ask;
use super::{Release, tree};

/// The completions: the shell, and the name that it expects.
pub(super) const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "batchtask"),
    ("zsh", "_batchtask"),
    ("fish", "batchtask.fish"),
];

/// Writes the folders `man` and `completions`, and returns the folder that they are in.
pub(super) fn write(release: &Release, program: &Path) -> anyhow::Result<PathBuf> {
    let folder = release.work.join("manual");
    tree::renew(&folder)?;
    let man = folder.join("man");
    ask(program, &["man", &man.to_string_lossy()])?;
    for (shell, name) in COMPLETIONS {
        let script = ask(program, &["completions", shell])? + "\n";
        super::write(&folder.join("completions").join(name), script)?;
    }
    Ok(folder)
}
