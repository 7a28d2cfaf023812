//! Builds the component that the host embeds.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use batchtask_component_build::{RECEIVER, build, sources};

fn main() -> ExitCode {
    let variable = |name| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let manifest_dir = variable("CARGO_MANIFEST_DIR");
    let root = manifest_dir
        .ancestors()
        .nth(2)
        .expect("the workspace is above");
    for source in sources(root) {
        println!("cargo:rerun-if-changed={}", source.display());
    }
    let target_dir = variable("OUT_DIR").join("component");
    match build(root, RECEIVER, "embedded", &target_dir) {
        Ok(path) => {
            println!("cargo:rustc-env=BATCHTASK_COMPONENT={}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
