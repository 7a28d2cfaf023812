//! Runs the batch-task receiver component on Wasmtime, with a journal and an
//! HTTP listener. Embedders and the bundled program use this library.
//!
//! - [`component`]: the compiled component and the calls into it.
//! - [`intake`]: the entry point of every channel; start here to embed it.
//!   `reads` limits how many [reads](limits::Limits::max_reads) run at once.
//! - [`http`]: the public listener; [`listener`]: listening sockets; [`tls`]:
//!   certificates; [`proxies`]: trusted proxies.
//! - [`admin`]: the admin listener; [`telemetry`]: metrics.
//! - [`services`]: how the parts of a program start, restart and stop.
//! - [`settings`]: the receiver's settings; [`limits`]: all limits;
//!   [`notices`]: warnings that the page shows. [`operations`]: what a host offers operators.
//! - `gzip` compresses long answers to reads.
//! - `bursts` limits log lines; `pressure` detects that pushes are being refused.
//! - [`clock`]: the current time.
//!
//! [`span`] has the trait of what records traces.
//!
//! To store events, use one of the journal crates beside this one, or implement
//! the trait of [`batchtask_journal`].

pub mod admin;
mod bindings;
mod bursts;
pub mod clock;
pub mod component;
mod gzip;
pub mod http;
pub mod intake;
pub mod limits;
pub mod listener;
pub mod notices;
pub mod operations;
mod pressure;
pub mod proxies;
mod reads;
pub mod services;
pub mod settings;
pub mod telemetry;
pub mod tls;

pub use batchtask_journal as journal;
pub use batchtask_span as span;
pub use intake::Intake;

/// Compiles the example program in `docs/embedding.md`.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
