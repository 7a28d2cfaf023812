//! Compares the sizes of the components with their budgets.
//!
//! `bench/sizes.toml` contains the budget of each component in bytes. A component
//! that exceeds it by more than the tolerance is an error, until the budget is
//! raised there. `bench/size.md` lists the receiver's bytes by part.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use batchtask_component_build::RECEIVER;
use wasmparser::{KnownCustom, Name, Parser, Payload};

use crate::artifact::ARTIFACTS;

const BUDGETS: &str = "bench/sizes.toml";
const BREAKDOWN: &str = "bench/size.md";

/// By how many percent a component may exceed its budget.
const TOLERANCE_PERCENT: usize = 2;

/// Compares the components in `dist/` with their budgets. With `update`, writes the
/// budgets and the breakdown instead.
#[allow(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn run(root: &Path, update: bool) -> anyhow::Result<()> {
    let budgets = fs::read_to_string(root.join(BUDGETS)).unwrap_or_default();
    let mut written =
        String::from("# Bytes of each component. Raise them with `cargo xtask size --update`.\n");
    let mut grown = Vec::new();
    for artifact in ARTIFACTS {
        let path = root.join("dist").join(artifact.file);
        let bytes = fs::read(&path)
            .with_context(|| path.display().to_string())?
            .len();
        let budget = budget(&budgets, artifact.file);
        println!(
            "{}: {bytes} bytes of {}",
            artifact.file,
            budget.unwrap_or(0)
        );
        writeln!(written, "\"{}\" = {bytes}", artifact.file)?;
        if budget.is_none_or(|budget| exceeds(bytes, budget)) {
            grown.push(artifact.file);
        }
    }
    if update {
        fs::write(root.join(BUDGETS), written)?;
        return Ok(fs::write(root.join(BREAKDOWN), breakdown(root)?)?);
    }
    if !grown.is_empty() {
        bail!(
            "{} exceeds its budget in `{BUDGETS}` by more than {TOLERANCE_PERCENT} %: make it \
             smaller, or raise the budget with `cargo xtask size --update`",
            grown.join(", ")
        );
    }
    Ok(())
}

fn exceeds(bytes: usize, budget: usize) -> bool {
    bytes * 100 > budget * (100 + TOLERANCE_PERCENT)
}

/// Returns the budget of a component in bytes.
fn budget(budgets: &str, file: &str) -> Option<usize> {
    let mut lines = budgets.lines().filter_map(|line| line.split_once(" = "));
    let (_, bytes) = lines.find(|(name, _)| name.trim_matches('"') == file)?;
    bytes.parse().ok()
}

/// Returns a text with the receiver's bytes by part, and its code by crate.
fn breakdown(root: &Path) -> anyhow::Result<String> {
    let wasm = fs::read(root.join("dist/receiver.wasm"))?;
    let mut text = format!(
        "# The parts of `receiver.wasm`\n\n{} bytes. `cargo xtask size --update` writes this file.\n\n| part | bytes |\n|---|---|\n",
        wasm.len()
    );
    for (part, bytes) in descending(parts(&wasm)?) {
        writeln!(text, "| {part} | {bytes} |")?;
    }
    text += "\nThe code of the core module by crate. A function that is inlined counts as part of its caller.\n\n| crate | bytes |\n|---|---|\n";
    for (name, bytes) in descending(by_crate(&fs::read(build_with_names(root)?)?)?) {
        writeln!(text, "| {name} | {bytes} |")?;
    }
    Ok(text)
}

fn descending(parts: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    parts
}

/// Returns the bytes of the sections by part.
fn parts(wasm: &[u8]) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut parts = BTreeMap::new();
    let (mut module, mut depth) = (0_u32, 0_u32);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match &payload {
            Payload::ModuleSection { .. } => (module, depth) = (module + 1, depth + 1),
            Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {
                let Some((id, range)) = payload.as_section() else {
                    continue;
                };
                let part = match (depth, id) {
                    (0, _) => "types, and conversions for the host".to_owned(),
                    (_, 10) if module == 1 => "core module: code".to_owned(),
                    (_, 11) if module == 1 => "core module: data".to_owned(),
                    _ if module == 1 => {
                        "core module: types, tables, names of imports and exports".to_owned()
                    }
                    _ => "core modules that connect imports and memory".to_owned(),
                };
                *parts.entry(part).or_default() += length(&range);
            }
        }
    }
    let known: u64 = parts.values().sum();
    parts.insert("headers of sections".into(), wasm.len() as u64 - known);
    Ok(parts)
}

/// Builds the receiver with the names of its functions, which are missing in
/// `dist/`. Returns the path of the file.
fn build_with_names(root: &Path) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let target = root.join("target/components-named");
    cargo.current_dir(root).args([
        "rustc",
        "--quiet",
        "--locked",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    cargo.args([
        "--profile",
        "component",
        "--target",
        "wasm32-wasip2",
        "--package",
        RECEIVER,
    ]);
    cargo
        .args([
            "--config",
            "profile.component.strip='debuginfo'",
            "--target-dir",
        ])
        .arg(&target);
    if !cargo.env_remove("RUSTFLAGS").status()?.success() {
        bail!("the receiver with names could not be built");
    }
    let file = RECEIVER.replace('-', "_") + ".wasm";
    Ok(target.join("wasm32-wasip2/component").join(file))
}

/// Returns the bytes of code of each crate in the first core module.
fn by_crate(wasm: &[u8]) -> anyhow::Result<BTreeMap<String, u64>> {
    let (mut sizes, mut imported, mut names) = (Vec::new(), 0_u32, BTreeMap::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) if sizes.is_empty() => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => sizes.push(length(&body.range())),
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(section) = section.as_known() {
                    for name in section {
                        let Name::Function(functions) = name? else {
                            continue;
                        };
                        for function in functions {
                            let function = function?;
                            names.insert(function.index, crate_of(function.name));
                        }
                    }
                    break;
                }
            }
            _ => {}
        }
    }
    let mut crates = BTreeMap::new();
    for (index, size) in (imported..).zip(sizes) {
        let name = names
            .remove(&index)
            .unwrap_or_else(|| "without a name".into());
        *crates.entry(name).or_default() += size;
    }
    Ok(crates)
}

/// Returns the crate of a mangled name: the first crate in it. `<A as B>::f` belongs
/// to the crate of `A`.
fn crate_of(mangled: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(mangled));
    let path = name.trim_start_matches(['<', '&', '[', '(', '*']);
    let path = path
        .trim_start_matches("mut ")
        .trim_start_matches("const ")
        .trim_start_matches("dyn ");
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
    match path.split_at(end.unwrap_or(path.len())) {
        (first, rest) if rest.starts_with("::") => first.to_owned(),
        (_, rest) if rest.contains('#') => "exports and imports (generated)".to_owned(),
        _ => "libc, memory and others".to_owned(),
    }
}

fn length<T: Copy + TryInto<u64>>(range: &Range<T>) -> u64 {
    let end = |end: T| end.try_into().unwrap_or_default();
    end(range.end) - end(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_percent_are_tolerated() {
        let budgets = "# a\n\"receiver.wasm\" = 1000\n";
        assert_eq!(budget(budgets, "receiver.wasm"), Some(1000));
        assert_eq!(budget(budgets, "other.wasm"), None);
        assert!(!exceeds(1020, 1000));
        assert!(exceeds(1021, 1000));
    }

    #[test]
    fn functions_are_assigned_to_crates() {
        for (mangled, expected) in [
            ("_ZN4sha26sha25611compress25617h75c5e0280d3603c8E", "sha2"),
            (
                "_ZN68_$LT$serde_json..read..StrRead$u20$as$u20$serde_json..read..Read$GT$10ignore_str17h3740ab23d8bcd9fdE",
                "serde_json",
            ),
            (
                "_RNvNtNtCs9pv848UzQwQ_4core5slice6memchr14memchr_aligned",
                "core",
            ),
            (
                "wasi:http/incoming-handler@0.2.0#handle",
                "exports and imports (generated)",
            ),
            ("memcpy", "libc, memory and others"),
        ] {
            assert_eq!(crate_of(mangled), expected);
        }
    }
}
