//! Builds everything that `bench/` measures, and runs `batchtask-bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use batchtask_component_build::RECEIVER;

use crate::{build, compose};

/// Builds `batchtask`, `batchtask-bench`, and the receiver with an adapter that
/// stores nothing. Then runs `batchtask-bench` with these arguments.
pub(crate) fn run(root: &Path, arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--release"]);
    let built = cargo.args(["--package", "batchtask", "--package", "batchtask-bench"]);
    if !built.status()?.success() {
        bail!("the programs to measure could not be built");
    }
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder)?;
    let wasm = compose::plug(
        &build(root, RECEIVER)?,
        &build(root, "batchtask-bench-adapter")?,
    )?;
    let component = folder.join("receiver-nothing.wasm");
    fs::write(&component, wasm).with_context(|| component.display().to_string())?;
    let status = Command::new(beside_this("batchtask-bench")?)
        .current_dir(root)
        // With this variable, every call into a component captures a backtrace.
        .env_remove("RUST_BACKTRACE")
        .args(arguments)
        .status()?;
    if !status.success() {
        bail!("`batchtask-bench {}`: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Returns the path of a program in the folder of this one.
fn beside_this(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?;
    Ok(folder.parent().context("a folder")?.join(name))
}
