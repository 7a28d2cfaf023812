//! The batch-task receiver, without a journal and a source of settings. Each
//! crate in `adapters/` adds these two, and builds a component of a world in
//! `wit/`.
//!
//! The core decides what to store and what to answer. The other modules export
//! the core, or are used by it.
//!
//! - [`receiver`]: the core: routes a request, checks it, decides.
//! - [`signature`]: checks the signature of a push.
//! - [`session`]: the cookies of browsers.
//! - [`reads`]: the answers to GET. [`views`] writes them as JSON, by means of
//!   [`json`]; [`page`] writes them as HTML.
//! - [`routes`], [`headers`] and [`percent`]: parse the head of a request.
//!   [`instants`]: parses points in time.
//!   `text`: helpers for strings.
//! - [`outcomes`]: the table of all outcomes of a request.
//! - [`settings`]: the table of all settings.
//! - [`adapter`]: the trait that an adapter implements. [`journal`]: the
//!   `journal` interface as a trait, and a simpler trait for adapters that only store.
//! - `component`: settings and clock of an instance. `intake` and `http`: the
//!   exports, which call the core.
//!
//! The crate also builds natively: the bundled host uses its tables and types,
//! and its tests run without wasm.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;
#[cfg(target_arch = "wasm32")]
extern crate batchtask_runtime as _;

pub use batchtask_notification::Class;

pub mod adapter;
pub mod bindings;
pub mod headers;
pub mod instants;
pub mod journal;
pub mod json;
pub mod outcomes;
pub mod page;
pub mod percent;
pub mod reads;
pub mod receiver;
pub mod routes;
pub mod session;
pub mod settings;
pub mod signature;
mod text;
pub mod views;

#[cfg(target_arch = "wasm32")]
pub mod component;
#[cfg(target_arch = "wasm32")]
pub mod http;
#[cfg(target_arch = "wasm32")]
mod intake;
