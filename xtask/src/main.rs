//! `cargo xtask dist`: builds what is handed out. `cargo xtask compose`: plugs
//! somebody's own adapter into the receiver. `cargo xtask tools`: installs what
//! only some tests need. `cargo xtask bench`: builds and runs what measures.
//! `cargo xtask size`: what the components weigh, and what they may.
//!
//! - `artifact`: the table of it: what each is made of, imports and exports.
//! - `compose`: plugs an adapter into the receiver.
//! - `tools`: other people's hosts and libraries, for the tests.
//! - `bench`: builds what is measured, and hands over to it.
//! - `size`: the budgets, and what the receiver's bytes are spent on.
//! - `binary`: reads what a component imports, and leaves out names.

#![allow(clippy::print_stdout, reason = "it is the result of the command")]

mod artifact;
mod bench;
mod binary;
mod compose;
mod size;
mod tools;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use artifact::{ARTIFACTS, Artifact};
use batchtask_component_build::RECEIVER;
use batchtask_notification::hex;
use sha2::{Digest, Sha256};

const USAGE: &str =
    "usage: cargo xtask dist | compose ADAPTER OUTPUT | tools | bench … | size [--update]";

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("the workspace is above")?;
    match std::env::args().nth(1).as_deref() {
        Some("dist") => dist(root),
        Some("compose") => {
            let paths: Vec<_> = std::env::args().skip(2).collect();
            let [adapter, output] = paths.as_slice() else {
                bail!(USAGE);
            };
            compose_with(root, adapter.as_ref(), output.as_ref())
        }
        Some("bench") => bench::run(root, &std::env::args().skip(2).collect::<Vec<_>>()),
        Some("size") => size::run(root, std::env::args().nth(2).as_deref() == Some("--update")),
        Some("tools") => tools::install(&root.join("target/tools")),
        _ => bail!(USAGE),
    }
}

/// Writes every artifact and their checksums to `dist/`, and says how large
/// each is and what it imports.
fn dist(root: &Path) -> anyhow::Result<()> {
    let dist = root.join("dist");
    fs::create_dir_all(&dist)?;
    let mut checksums = String::new();
    for artifact in ARTIFACTS {
        let wasm = binary::without_names(&build(root, artifact.package)?)?;
        report(artifact, &wasm)?;
        let path = dist.join(artifact.file);
        fs::write(&path, &wasm).with_context(|| path.display().to_string())?;
        writeln!(
            checksums,
            "{}  {}",
            hex(&Sha256::digest(&wasm)),
            artifact.file
        )?;
    }
    fs::write(dist.join("SHA256SUMS"), checksums)?;
    Ok(())
}

/// Plugs somebody's own adapter into the receiver.
fn compose_with(root: &Path, adapter: &Path, output: &Path) -> anyhow::Result<()> {
    let wasm = fs::read(adapter).with_context(|| adapter.display().to_string())?;
    let wasm = compose::plug(&build(root, RECEIVER)?, &wasm)?;
    fs::write(output, binary::without_names(&wasm)?).with_context(|| output.display().to_string())
}

fn build(root: &Path, package: &str) -> anyhow::Result<Vec<u8>> {
    let target_dir = root.join("target/components");
    let path = batchtask_component_build::build(root, package, "component", &target_dir)
        .map_err(|error| anyhow!(error))?;
    fs::read(&path).with_context(|| path.display().to_string())
}

/// Says what an artifact is like, and fails when that is not what it must be.
#[allow(clippy::print_stdout, reason = "the result of the command")]
fn report(artifact: &Artifact, wasm: &[u8]) -> anyhow::Result<()> {
    println!("dist/{}: {} bytes", artifact.file, wasm.len());
    let shape = binary::shape(wasm)?;
    for import in &shape.imports {
        println!("  imports {import}");
    }
    for export in &shape.exports {
        println!("  exports {export}");
    }
    artifact.check(&shape)
}
