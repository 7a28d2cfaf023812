//! Third-party programs and libraries, which `cargo xtask tools` installs into
//! `target/tools`. A test without its tool is skipped with a message.

use std::path::PathBuf;

use super::artifacts::root;

/// Returns the path of a tool. If it is not installed, prints a line and returns
/// `None`.
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
/// Python with `standardwebhooks`, `cloudevents`, `aiosmtpd` and `opentelemetry-proto`.
pub(crate) const PYTHON: &str = "venv/bin/python";
/// A script that checks the accessibility of a page.
pub(crate) const AXE: &str = "node_modules/axe-core/axe.min.js";
/// A program that validates HTML.
pub(crate) const HTML_VALIDATE: &str = "node_modules/html-validate/bin/html-validate.mjs";
/// A program that generates requests from a description.
pub(crate) const SCHEMATHESIS: &str = "venv/bin/schemathesis";
/// A program that checks files against schemas, such as that of Compose.
pub(crate) const CHECK_JSONSCHEMA: &str = "venv/bin/check-jsonschema";
/// A program that validates the resources of Kubernetes.
pub(crate) const KUBERNETES_VALIDATE: &str = "venv/bin/kubernetes-validate";
/// A program that validates OpenAPI.
pub(crate) const OPENAPI_VALIDATOR: &str = "venv/bin/openapi-spec-validator";
/// A program that generates a Python client from a description.
pub(crate) const OPENAPI_PYTHON_CLIENT: &str = "venv/bin/openapi-python-client";
/// A program that generates types for TypeScript from a description.
pub(crate) const OPENAPI_TYPESCRIPT: &str = "node_modules/openapi-typescript/bin/cli.js";
/// The compiler of TypeScript.
pub(crate) const TYPESCRIPT: &str = "node_modules/typescript/bin/tsc";
/// The libraries for Node.
pub(crate) const NODE_MODULES: &str = "node_modules";
/// A linter of OpenAPI.
pub(crate) const REDOCLY: &str = "node_modules/.bin/redocly";
/// Another one.
pub(crate) const SPECTRAL: &str = "node_modules/.bin/spectral";
