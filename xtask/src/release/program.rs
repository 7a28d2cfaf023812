//! The static program.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::Release;
use crate::command::{run, text};
use crate::tools;

/// The target: linked with musl, so the program needs no file of the system.
pub(super) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The folders that are replaced by a name in everything that contains paths, such as the
/// places of panics: the sources of dependencies, and the repository.
const DEPENDENCIES: &str = "/crates";
const REPOSITORY: &str = "/batchtask";

/// Adds the list of dependencies to the program, as a wrapper of the compiler, and the
/// arguments of cargo that it needs to know.
const AUDITABLE: &str = "cargo-auditable";
const AUDITABLE_ARGUMENTS: &str = r#"{"offline":false,"locked":true,"frozen":false,"config":[]}"#;

/// Builds the program, and returns its path. The list of its dependencies is in the file,
/// for scanners (`cargo-auditable`).
pub(super) fn build(release: &Release) -> anyhow::Result<PathBuf> {
    let root = release.root;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new("rustup")
        .current_dir(root)
        .args(["target", "add", TARGET]))?;
    // The folders of the sources are known only when they are there.
    run(Command::new(&cargo)
        .current_dir(root)
        .args(["fetch", "--locked"]))?;
    let renamed = renamed_folders(root)?;
    let remapped = |flag: &str, separator: &str| {
        let flags = renamed
            .iter()
            .map(|(path, name)| format!("{flag}={}={name}", path.display()));
        flags.collect::<Vec<_>>().join(separator)
    };
    let auditable = tools::cargo_tool(root, AUDITABLE, "0.7.7")?;
    let mut search = auditable.with_file_name("").into_os_string();
    if let Some(others) = env::var_os("PATH") {
        search.push(":");
        search.push(others);
    }
    let mut build = Command::new(cargo);
    build
        .current_dir(root)
        // As `cargo auditable` does, but by its name: it would give cargo its path, on which
        // the order of the code depends then, and so on the folder of the repository.
        .env("RUSTC_WORKSPACE_WRAPPER", AUDITABLE)
        .env("CARGO_AUDITABLE_ORIG_ARGS", AUDITABLE_ARGUMENTS)
        .env("PATH", search)
        .env("SOURCE_DATE_EPOCH", &release.commit.epoch)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            remapped("--remap-path-prefix", "\x1f"),
        )
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env(
            "CFLAGS_x86_64_unknown_linux_musl",
            remapped("-ffile-prefix-map", " "),
        )
        .args(["build", "--locked", "--release"])
        .args(["--package", "batchtask", "--target", TARGET])
        .arg("--target-dir")
        .arg(&release.work);
    run(&mut build).context("is `musl-gcc` installed? (Debian: musl-tools)")?;
    Ok(path(root))
}

/// Returns the path of the program that [`build`] builds.
pub(super) fn path(root: &Path) -> PathBuf {
    super::work(root).join(TARGET).join("release/batchtask")
}

/// Returns folders, and the names that replace them.
fn renamed_folders(root: &Path) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let sources = home.join("registry/src");
    let mut folders = Vec::new();
    for entry in sources
        .read_dir()
        .with_context(|| sources.display().to_string())?
    {
        folders.push((entry?.path(), DEPENDENCIES));
    }
    folders.push((root.to_owned(), REPOSITORY));
    Ok(folders)
}

/// Returns what the program prints with these arguments.
pub(super) fn ask(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    text(Command::new(program).args(arguments))
}
