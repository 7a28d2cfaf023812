//! The components of `dist/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder that all of this is in.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().expect("the workspace is above")
}

/// A component of `dist/`, as it is built from the sources that are tested.
pub(crate) fn artifact(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        let output = cargo.current_dir(root()).args(["xtask", "dist"]).output();
        let output = output.expect("`cargo` starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo xtask dist`: {text}");
    });
    root().join("dist").join(name)
}
