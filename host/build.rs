//! Builds the component that the host embeds.

#[path = "../xtask/src/component.rs"]
mod component;

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let variable = |name| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let manifest_dir = variable("CARGO_MANIFEST_DIR");
    let root = manifest_dir.parent().expect("the workspace is above");
    for source in [
        ".cargo/config.toml",
        "Cargo.lock",
        "Cargo.toml",
        "adapters/imported",
        "guest/Cargo.toml",
        "guest/build.rs",
        "guest/openapi.json",
        "guest/src",
        "notification/Cargo.toml",
        "notification/src",
        "runtime",
        "rust-toolchain.toml",
        "wit",
        "xtask/src/component.rs",
    ] {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }
    match component::build(
        root,
        component::RECEIVER,
        "embedded",
        &variable("OUT_DIR").join("component"),
    ) {
        Ok(path) => export("BATCHTASK_COMPONENT", &path),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

fn export(name: &str, path: &Path) {
    println!("cargo:rustc-env={name}={}", path.display());
}
