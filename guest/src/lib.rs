//! The batch-task receiver: everything of the component but where events go
//! and where settings come from. A crate of `adapters/` adds that, and is the
//! component of a world in `wit/`.
//!
//! Its core decides what to store and what to answer; everything else is a
//! shell around it or a module it uses.
//!
//! - [`receiver`]: the core: routes a request, checks it, decides.
//! - [`signature`]: was this sent by the platform?
//! - [`reads`]: the answers to GET, and [`views`], their JSON, written by
//!   [`json`].
//! - [`page`]: the same, for people.
//! - [`routes`]: from a request's target to a resource; [`headers`] and
//!   [`percent`]: reading the rest of a request; `text`: joining texts.
//! - [`outcomes`]: the one table of what a request can come to.
//! - [`settings`]: the one table of what an operator can decide.
//! - [`adapter`]: what a component is built over, and [`journal`], the
//!   interface of that name as a trait.
//! - `component`: settings and clock of an instance; `intake`, `http`: the
//!   exports, thin shells over the core.
//!
//! The bundled host takes its tables from here too, and its tests run without
//! wasm.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;
#[cfg(target_arch = "wasm32")]
extern crate batchtask_runtime as _;

pub use batchtask_notification::Class;

pub mod adapter;
pub mod bindings;
pub mod headers;
pub mod journal;
pub mod json;
pub mod outcomes;
pub mod page;
pub mod percent;
pub mod reads;
pub mod receiver;
pub mod routes;
pub mod settings;
pub mod signature;
mod text;
pub mod views;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod http;
#[cfg(target_arch = "wasm32")]
mod intake;
