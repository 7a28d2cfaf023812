//! The components of `dist/` on hosts that are not the bundled one.
//!
//! | room | what holds there |
//! |---|---|
//! | `suite` | what every host must make of the same requests |
//! | `artifacts` | the components, built when a test first asks for one |
//! | `tools` | programs and libraries of others; a test that misses one says so |
//! | `spin` | a host with Spin's imports, and what they may do to the journal |
//! | `manifest` | `spin.toml` by Spin's rules |
//! | `forward` | the forwarded message, and `wasmtime serve` and jco as hosts |

mod artifacts;
mod forward;
mod manifest;
mod spin;
mod suite;
mod tools;
