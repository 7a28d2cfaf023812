//! Compares two releases, file by file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::tree;

/// Prints for each file whether it is the same in both folders.
///
/// # Errors
/// A file differs, or is in one folder only.
pub(super) fn compare(one: &Path, other: &Path) -> anyhow::Result<()> {
    let names: BTreeSet<String> = [tree::files(one)?, tree::files(other)?]
        .concat()
        .into_iter()
        .collect();
    let mut different = 0;
    for name in &names {
        let verdict = verdict(&one.join(name), &other.join(name))?;
        println!("{verdict}: {name}");
        different += u32::from(verdict != IDENTICAL);
    }
    if different > 0 {
        bail!("{different} of {} files differ", names.len());
    }
    Ok(())
}

const IDENTICAL: &str = "identical";

fn verdict(one: &Path, other: &Path) -> anyhow::Result<&'static str> {
    let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    Ok(match (one.exists(), other.exists()) {
        (true, true) if read(one)? == read(other)? => IDENTICAL,
        (true, true) => "DIFFERENT",
        (true, false) => "MISSING in the other",
        _ => "ONLY in the other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_or_a_missing_file_makes_a_difference() {
        let folder = std::env::temp_dir().join(format!("compare-{}", std::process::id()));
        let (one, other) = (folder.join("one"), folder.join("other"));
        for side in [&one, &other] {
            super::super::write(&side.join("a"), "a").unwrap();
        }
        assert!(compare(&one, &other).is_ok());
        super::super::write(&other.join("a"), "b").unwrap();
        assert!(compare(&one, &other).is_err());
        super::super::write(&other.join("a"), "a").unwrap();
        super::super::write(&one.join("b"), "b").unwrap();
        assert!(compare(&one, &other).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
