//! `cargo xtask dist`: builds what is handed out.

mod component;

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use wasm_encoder::{Component, RawSection};
use wasmparser::{Parser, Payload};

/// What a component may import: the version is left out, for the linker may
/// raise that of `wasi:io` and `wasi:clocks`.
const RECEIVER_IMPORTS: &[&str] = &[
    "batchtask:receiver/journal",
    "batchtask:receiver/settings",
    "wasi:clocks/wall-clock",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/streams",
];

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("the workspace is above")?;
    match std::env::args().nth(1).as_deref() {
        Some("dist") => dist(root),
        _ => bail!("usage: cargo xtask dist"),
    }
}

/// Writes `dist/receiver.wasm`, and says how large it is and what it imports.
fn dist(root: &Path) -> anyhow::Result<()> {
    let target_dir = root.join("target/components");
    let built = component::build(root, "batchtask-guest", &target_dir).map_err(|e| anyhow!(e))?;
    let wasm = without_names(&fs::read(&built)?)?;
    let imports = imports(&wasm)?;
    let dist = root.join("dist");
    fs::create_dir_all(&dist)?;
    let path = dist.join("receiver.wasm");
    fs::write(&path, &wasm)?;
    println!("{}: {} bytes, imports", path.display(), wasm.len());
    for import in &imports {
        println!("  {import}");
    }
    for import in &imports {
        let name = import.split('@').next().unwrap_or(import);
        if !RECEIVER_IMPORTS.contains(&name) {
            bail!("`{import}` is not on the list of imports");
        }
    }
    Ok(())
}

/// The names of what a component imports.
fn imports(wasm: &[u8]) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// A component without the sections that only debuggers read. Those of its
/// modules the compiler has stripped already.
fn without_names(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stripped = Component::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let section = payload.as_section();
        match payload {
            Payload::CustomSection(_) => {}
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => {
                if let Some((id, range)) = section {
                    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
                    let data = wasm.get(range).context("a section beyond the end")?;
                    stripped.section(&RawSection { id, data });
                }
            }
        }
        if matches!(
            payload,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
        ) {
            depth += 1;
        }
    }
    Ok(stripped.finish())
}
