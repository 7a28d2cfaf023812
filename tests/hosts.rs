//! The same suite for every entry point of a receiver: on the bundled host, and with
//! the components of `dist/` on other hosts.
//!
//! | module | content |
//! |---|---|
//! | `suite` | requests with the answers that every host must give |
//! | `bundled` | the bundled host with each entry point of a component, and its library |
//! | `artifacts` | the components, built when a test first needs one |
//! | `process` | another host, as a process |
//! | `tools` | third-party programs and libraries; a test without its tool is skipped |
//! | `spin` | a host with Spin's imports, and their failures |
//! | `manifest` | `spin.toml` by Spin's rules |
//! | `embedding` | the programs of `examples/`: embedding, and an adapter in JavaScript |
//! | `forward` | the forwarded message, and `wasmtime serve` (WASI 0.2 and 0.3) and jco as hosts |

pub(crate) mod artifacts;
mod bundled;
mod embedding;
mod forward;
mod manifest;
mod process;
mod spin;
mod suite;
pub(crate) mod tools;
