//! Runs the batch-task receiver: its component on wasmtime, behind HTTP, over
//! a journal.
//!
//! - [`receiver`]: the component, ready to be asked; start here to embed it.
//! - [`journal`]: what its appends go to, and the SQLite that is built in.
//! - [`settings`]: what the operator decided.
//! - [`server`]: the public listener; [`tls`]: its certificates; `stream`: no
//!   connection stalls; `framing`: no request has two lengths; `reads`: readers
//!   keep no notification waiting; `answers`: what is sent and logged.
//! - [`admin`]: the other listener; [`metrics`]: what it tells.
//! - [`limits`]: every limit, in one place.
//! - [`cli`]: the program `batchtask`.
//! - `engine`, `state`, `instances`, `wasi_http`: wasmtime, the import side of
//!   an instance, and the two ways into one.
//! - [`bindings`]: the types of `wit/`.

pub mod admin;
mod answers;
pub mod bindings;
pub mod cli;
mod engine;
mod framing;
mod instances;
pub mod journal;
pub mod limits;
pub mod metrics;
mod reads;
pub mod receiver;
pub mod server;
pub mod settings;
mod state;
mod stream;
pub mod tls;
mod wasi_http;

pub use receiver::Receiver;

/// Compiles the program that the documentation shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;
