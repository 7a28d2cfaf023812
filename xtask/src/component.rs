//! Builds a crate of this workspace as a component. Used by the host's build
//! script, which embeds the receiver, and by `cargo xtask dist`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// The crate of the receiver alone, which the host embeds and adapters are
/// plugged into.
pub(crate) const RECEIVER: &str = "batchtask-adapter-imported";

/// Builds `package` of the workspace at `root` in one of the profiles
/// `component` and `embedded`, in a target directory of its own, and returns
/// where the component is.
pub(crate) fn build(
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
    // What the outer cargo was told is not meant for the component: it is the
    // same bytes however it is built.
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

/// Installs the standard library of the target when it is not there, for
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
