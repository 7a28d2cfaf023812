//! Runs the batch-task receiver: its component on Wasmtime, over a journal,
//! behind HTTP. For embedders, and for the bundled host.
//!
//! - [`component`]: the component, ready to be called.
//! - [`intake`]: the one way in for every channel; start here to embed it.
//!   [`reads`](limits::Limits::max_reads) are bounded there.
//! - [`http`]: the public listener; [`listener`]: its socket; [`tls`]: its
//!   certificates; [`proxies`]: those in front of it.
//! - [`admin`]: the other listener; [`telemetry`]: metrics.
//! - [`services`]: how parts of a program start, restart and stop.
//! - [`settings`]: what the operator configured; [`limits`]: every limit;
//!   [`notices`]: what operators should know.
//!   `bursts` limits log lines; `pressure`: whether pushes are being refused.
//! - [`clock`]: the time.
//!
//! The journal is [`batchtask_journal`]: bring one of the crates beside this
//! one, or implement its trait.

pub mod admin;
mod bindings;
mod bursts;
pub mod clock;
pub mod component;
pub mod http;
pub mod intake;
pub mod limits;
pub mod listener;
pub mod notices;
mod pressure;
pub mod proxies;
mod reads;
pub mod services;
pub mod settings;
pub mod telemetry;
pub mod tls;

pub use batchtask_journal as journal;
pub use intake::Intake;

/// Compiles the program that the documentation shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
