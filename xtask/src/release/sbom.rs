//! Bills of materials in the format CycloneDX: which crates are in the program, and in the
//! component that it embeds.

use std::fs;
use std::process::Command;

use anyhow::Context;
use batchtask_component_build::RECEIVER;

use super::program::TARGET;
use super::{Release, tree};
use crate::command::run;
use crate::tools;

/// A bill: its file, the folder of the crate, and the target that decides on its
/// dependencies.
struct Bill {
    file: &'static str,
    folder: &'static str,
    target: &'static str,
}

const BILLS: &[Bill] = &[
    Bill {
        file: "batchtask.cdx.json",
        folder: "host/cli",
        target: TARGET,
    },
    Bill {
        file: "receiver.cdx.json",
        folder: "adapters/imported",
        target: "wasm32-wasip2",
    },
];

/// Writes the bills.
pub(super) fn write(release: &Release) -> anyhow::Result<()> {
    debug_assert_eq!(RECEIVER, "batchtask-adapter-imported");
    let tool = tools::cargo_tool(release.root, "cargo-cyclonedx", "0.5.9")?;
    // The tool writes into the folders of all crates.
    let copy = release.work.join("sources");
    tree::copy_sources(release.root, &copy)?;
    for bill in BILLS {
        let folder = copy.join(bill.folder);
        let mut cyclonedx = Command::new(&tool);
        cyclonedx
            .current_dir(&folder)
            .env("SOURCE_DATE_EPOCH", &release.commit.epoch)
            .args(["cyclonedx", "--quiet", "--format", "json"])
            .args(["--spec-version", "1.5", "--target", bill.target])
            .args(["--override-filename", "bill"]);
        run(&mut cyclonedx)?;
        let text = fs::read_to_string(folder.join("bill.json")).context(bill.file)?;
        // Paths of this machine.
        let text = text.replace(&*copy.to_string_lossy(), "/batchtask");
        super::write(&release.output.join(bill.file), text)?;
    }
    Ok(())
}
