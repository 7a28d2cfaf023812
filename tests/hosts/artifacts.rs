//! The components of `dist/`, and composed ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the root of the workspace. The tests belong to the crate `host/cli`.
pub(crate) fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir
        .ancestors()
        .nth(2)
        .expect("the workspace is two folders above")
}

/// Returns the path of a component of `dist/`, after building it from the current
/// sources.
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

/// Composes the receiver with the adapter of the benchmarks. The component has its own
/// journal and settings, and exports `intake` and `wasi:http`.
pub(crate) fn composed(output: &Path) {
    let components = root().join("target/components");
    let adapter = "batchtask-bench-adapter";
    let adapter = batchtask_component_build::build(root(), adapter, "component", &components);
    let adapter = adapter.expect("the adapter can be built");
    compose(&adapter, output);
}

/// Plugs an adapter into the receiver, and writes the component to `output`.
pub(crate) fn compose(adapter: &Path, output: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["xtask", "compose"]);
    let output = cargo.args([adapter, output]).output();
    let output = output.expect("`cargo` starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`cargo xtask compose`: {text}");
}
