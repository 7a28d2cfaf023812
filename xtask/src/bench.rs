//! Builds everything that `bench/` measures, and hands over to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use batchtask_component_build::RECEIVER;

use crate::{build, compose};

/// Runs `batchtask-bench` with these arguments, over what is built here first:
/// both programs, and the receiver plugged into the adapter that keeps nothing.
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
        // Capturing a backtrace costs on every call into a component.
        .env_remove("RUST_BACKTRACE")
        .args(arguments)
        .status()?;
    if !status.success() {
        bail!("`batchtask-bench {}`: {status}", arguments.join(" "));
    }
    Ok(())
}

/// A program that was built into the same folder as this one.
fn beside_this(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_exe()?;
    Ok(folder.parent().context("a folder")?.join(name))
}
