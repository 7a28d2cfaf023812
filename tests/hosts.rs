//! One suite for every way into a receiver: on the bundled host, and with the
//! components of `dist/` on hosts of others.
//!
//! | room | what holds there |
//! |---|---|
//! | `suite` | what every host must make of the same requests |
//! | `bundled` | the bundled host by each way into a component, and its library |
//! | `artifacts` | the components, built when a test first asks for one |
//! | `process` | a host of somebody else's, as a process |
//! | `tools` | programs and libraries of others; a test that misses one says so |
//! | `spin` | a host with Spin's imports, and what they may do to the journal |
//! | `manifest` | `spin.toml` by Spin's rules |
//! | `embedding` | the programs of `examples/`: embedding, and an adapter in JavaScript |
//! | `forward` | the forwarded message, and `wasmtime serve` and jco as hosts |

mod artifacts;
mod bundled;
mod embedding;
mod forward;
mod manifest;
mod process;
mod spin;
mod suite;
pub(crate) mod tools;
