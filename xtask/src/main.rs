//! The tasks of this repository:
//!
//! - `cargo xtask dist`: builds the components in `dist/`.
//! - `cargo xtask dist --again`: checks that they are the same when they are built elsewhere.
//! - `cargo xtask release`: builds everything that users install, in `dist/release/`.
//! - `cargo xtask compose`: plugs another adapter into the receiver.
//! - `cargo xtask tools`: installs the tools that some tests need.
//! - `cargo xtask bench`: builds and runs the benchmarks.
//! - `cargo xtask size`: compares the sizes of the components with their budgets.
//! - `cargo xtask words`: checks that texts use plain words.
//!
//! | module | content |
//! |---|---|
//! | `artifact` | the components in `dist/`, with their imports and exports |
//! | `release` | packages, images, bills of materials and checksums |
//! | `compose` | plugs an adapter into the receiver |
//! | `tools` | installs tools for the tests |
//! | `bench` | builds and runs the benchmarks |
//! | `size` | the budgets of the components, and the receiver's bytes by part |
//! | `words` | words that readers stumble over |
//! | `command` | runs other programs |
//! | `binary` | reads the imports of a component, and removes its debug sections |

#![allow(clippy::print_stdout, reason = "the result of the command")]

mod artifact;
mod bench;
mod binary;
mod command;
mod compose;
mod release;
mod size;
mod tools;
mod words;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use artifact::{ARTIFACTS, Artifact};
use batchtask_component_build::RECEIVER;
use batchtask_notification::hex;
use sha2::{Digest, Sha256};

const USAGE: &str = "usage: cargo xtask dist [--again] | release [--compare FOLDER | --try | --upgrade OLD] | \
                     compose ADAPTER OUTPUT | tools | bench … | size [--update] | words";

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("the crate is not in a workspace")?;
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match std::env::args().nth(1).as_deref() {
        Some("dist") if arguments == ["--again"] => again(root),
        Some("dist") => dist(root),
        Some("release") => release::run(root, &arguments),
        Some("compose") => {
            let [adapter, output] = arguments.as_slice() else {
                bail!(USAGE);
            };
            compose_with(root, adapter.as_ref(), output.as_ref())
        }
        Some("bench") => bench::run(root, &arguments),
        Some("size") => size::run(root, arguments == ["--update"]),
        Some("words") => words::check(root),
        Some("tools") => tools::install(&root.join("target/tools")),
        _ => bail!(USAGE),
    }
}

/// Writes all artifacts and their checksums to `dist/`, and prints their sizes,
/// imports and exports.
fn dist(root: &Path) -> anyhow::Result<()> {
    let dist = root.join("dist");
    let mut checksums = String::new();
    for (file, wasm) in components(root, &dist)? {
        writeln!(checksums, "{}  {file}", checksum(&wasm))?;
    }
    fs::write(dist.join("SHA256SUMS"), checksums)?;
    Ok(())
}

/// Builds all artifacts from a copy of the sources in another folder, and fails if one
/// differs from that in `dist/`.
fn again(root: &Path) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("batchtask-again-{}", std::process::id()));
    let copy = folder.join("sources");
    release::copy_sources(root, &copy)?;
    let built = components(&copy, &folder.join("dist"));
    fs::remove_dir_all(&folder)?;
    for (file, wasm) in built? {
        if fs::read(root.join("dist").join(file))? != wasm {
            bail!("`{file}` is not the same as in `dist/`, which was built in another folder");
        }
        println!("{file}: identical");
    }
    Ok(())
}

/// Builds all artifacts, writes them to a folder, and returns their names and bytes.
fn components(root: &Path, folder: &Path) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    fs::create_dir_all(folder)?;
    let mut built = Vec::new();
    for artifact in ARTIFACTS {
        let wasm = binary::without_custom_sections(&build(root, artifact.package)?)?;
        report(artifact, &wasm)?;
        let path = folder.join(artifact.file);
        fs::write(&path, &wasm).with_context(|| path.display().to_string())?;
        built.push((artifact.file, wasm));
    }
    Ok(built)
}

/// Returns the SHA-256 of some bytes, in hexadecimal digits.
fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Plugs the adapter in the file `adapter` into the receiver, and writes the
/// component to `output`.
fn compose_with(root: &Path, adapter: &Path, output: &Path) -> anyhow::Result<()> {
    let wasm = fs::read(adapter).with_context(|| adapter.display().to_string())?;
    let wasm = compose::plug(&build(root, RECEIVER)?, &wasm)?;
    let wasm = binary::without_custom_sections(&wasm)?;
    fs::write(output, wasm).with_context(|| output.display().to_string())
}

/// Builds a crate as a component, and returns its bytes.
fn build(root: &Path, package: &str) -> anyhow::Result<Vec<u8>> {
    let target_dir = root.join("target/components");
    let path = batchtask_component_build::build(root, package, "component", &target_dir)
        .map_err(|error| anyhow!(error))?;
    fs::read(&path).with_context(|| path.display().to_string())
}

/// Prints the size, imports and exports of an artifact, and checks them.
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
