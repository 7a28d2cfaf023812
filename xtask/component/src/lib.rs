//! Builds a crate of this workspace as a component, for the host's build script,
//! which embeds the receiver, and for `cargo xtask`.
//!
//! - [`RECEIVER`]: the crate that the host embeds.
//! - [`build`]: builds a crate as a component.
//! - [`sources`]: the files from which the receiver is built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// The crate of the receiver without a journal. The host embeds it, and adapters are
/// plugged into it.
pub const RECEIVER: &str = "batchtask-adapter-imported";

/// The files and folders of the workspace from which [`RECEIVER`] is built.
const SOURCES: &[&str] = &[
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
];

/// Returns the files and folders from which [`RECEIVER`] is built, in the workspace
/// at `root`. A build script that embeds it must run again when they change.
pub fn sources(root: &Path) -> impl Iterator<Item = PathBuf> {
    SOURCES.iter().map(move |source| root.join(source))
}

/// Builds `package` of the workspace at `root` in the profile `component` or
/// `embedded`, in the target directory `target_dir`. Returns the path of the
/// component.
///
/// # Errors
/// A text that says which command failed, and what to do if the target is not
/// installed.
pub fn build(
    root: &Path,
    package: &str,
    profile: &str,
    target_dir: &Path,
) -> Result<PathBuf, String> {
    ensure_target(root)?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        // Only a `cdylib`: cargo does not optimise across crates if the crate is also
        // built as a Rust library.
        .args(["rustc", "--lib", "--crate-type", "cdylib"])
        .args(["--locked", "--profile", profile])
        .args(["--target", TARGET, "--package", package])
        .arg("--target-dir")
        .arg(target_dir);
    // The flags of the outer cargo must not change the component, so that its bytes
    // are the same everywhere.
    for name in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(name);
    }
    run(&mut cargo)?;
    let file = package.replace('-', "_") + ".wasm";
    Ok(target_dir.join(TARGET).join(profile).join(file))
}

/// Installs the standard library of the target if it is missing. rustup does this
/// itself only if its automatic installation is enabled.
fn ensure_target(root: &Path) -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .current_dir(root)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("`rustc` did not start: {error}"))?;
    let libdir = String::from_utf8_lossy(&output.stdout);
    if Path::new(libdir.trim()).is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.current_dir(root).args(["target", "add", TARGET]);
    run(&mut rustup).map_err(|error| {
        format!("{error}\n\nThe target {TARGET} is not installed. Run:\n\n    rustup target add {TARGET}\n")
    })
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed: {status}")),
        Err(error) => Err(format!("{command:?} did not start: {error}")),
    }
}
