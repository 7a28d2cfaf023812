//! Programs and libraries of others: what `cargo xtask tools` installs into
//! `target/tools`. A test that misses one is skipped, and says so.

use std::path::PathBuf;

use super::artifacts::root;

/// A tool, or none and a line that says what was skipped for it.
pub(crate) fn tool(path: &str) -> Option<PathBuf> {
    let tool = root().join("target/tools").join(path);
    let is_there = tool.exists();
    if !is_there {
        eprintln!(
            "skipped: no `{}`; `cargo xtask tools` installs it",
            tool.display()
        );
    }
    is_there.then_some(tool)
}

/// Wasmtime's program.
pub(crate) const WASMTIME: &str = "bin/wasmtime";
/// jco's program.
pub(crate) const JCO: &str = "node_modules/@bytecodealliance/jco/dist/jco.js";
/// The program of componentize-js.
pub(crate) const COMPONENTIZE: &str = "node_modules/.bin/componentize-js";
/// A Python that has `standardwebhooks` and `cloudevents`.
pub(crate) const PYTHON: &str = "venv/bin/python";
/// Checks of accessibility, to be run in a page.
pub(crate) const AXE: &str = "node_modules/axe-core/axe.min.js";
/// The program that knows the rules of HTML.
pub(crate) const HTML_VALIDATE: &str = "node_modules/html-validate/bin/html-validate.mjs";
/// The program that makes requests from a description.
pub(crate) const SCHEMATHESIS: &str = "venv/bin/schemathesis";
/// The program that knows the rules of OpenAPI.
pub(crate) const OPENAPI_VALIDATOR: &str = "venv/bin/openapi-spec-validator";
