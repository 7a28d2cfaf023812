//! Builds a crate of this workspace as a component. Used by the host's build
//! script, which embeds the receiver, and by `cargo xtask`.
//!
//! - [`RECEIVER`]: the crate that the host embeds.
//! - [`build`]: builds a crate as a component.
//! - [`sources`]: the files that the receiver is built from.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// The crate of the receiver alone, which the host embeds and adapters are
/// plugged into.
pub const RECEIVER: &str = "batchtask-adapter-imported";

/// Files and folders of the workspace that [`RECEIVER`] is built from.
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

/// Paths of the files and folders that [`RECEIVER`] is built from, in the
/// workspace at `root`. A build script that embeds it runs again when one of
/// them changes.
pub fn sources(root: &Path) -> impl Iterator<Item = PathBuf> {
    SOURCES.iter().map(move |source| root.join(source))
}

/// Builds `package` of the workspace at `root` in one of the profiles
/// `component` and `embedded`, in a target directory of its own. Returns the
/// path of the component.
///
/// # Errors
/// A text for the person who builds: which command failed, and what to do if
/// the target is not installed.
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
        // Only the component: cargo optimises nothing across crates when a
        // library is also to be one for Rust.
        .args(["rustc", "--lib", "--crate-type", "cdylib"])
        .args(["--locked", "--profile", profile])
        .args(["--target", TARGET, "--package", package])
        .arg("--target-dir")
        .arg(target_dir);
    // The flags of the outer cargo are not meant for the component: its bytes
    // must not depend on who builds it.
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

/// Installs the standard library of the target if it is missing, because
/// rustup does so by itself only where its automatic installation is on.
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
