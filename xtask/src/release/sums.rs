//! Checksums of a release, and their signature.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{VERSION, tree};
use crate::checksum;
use crate::command::run;

/// The file of the checksums, in the format of `sha256sum`.
const SUMS: &str = "SHA256SUMS";

/// The variable that names the secret key of minisign.
const KEY: &str = "BATCHTASK_MINISIGN_KEY";

/// Writes the checksums of all files in a folder. Signs them if a key is named.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut sums = String::new();
    for name in tree::files(folder)? {
        let path = folder.join(&name);
        let content = fs::read(&path).with_context(|| path.display().to_string())?;
        writeln!(sums, "{}  {name}", checksum(&content))?;
    }
    super::write(&folder.join(SUMS), sums)?;
    let Some(key) = env::var_os(KEY).filter(|key| !key.is_empty()) else {
        println!("not signed: {KEY} names no key of minisign");
        return Ok(());
    };
    let comment = format!("batchtask {VERSION}");
    let mut minisign = Command::new("minisign");
    minisign.args(["-S", "-t", &comment, "-s"]).arg(key);
    run(minisign.arg("-m").arg(folder.join(SUMS)))
}
