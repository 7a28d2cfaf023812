//! The batch-task receiver: everything of the component but where events go
//! and where settings come from. A crate of `adapters/` adds that, and is the
//! component of a world in `wit/`.
//!
//! Its heart is one function from a buffered request to a response; everything
//! else is a shell around it or a room it uses.
//!
//! - [`receiver`]: the heart: routes a request, checks it, answers it.
//! - [`sender`]: was this sent by the platform?
//! - [`reads`]: the answers to GET, and [`views`], their JSON, written by
//!   [`json`].
//! - [`page`]: the same, for people.
//! - [`routes`]: from a request's target to one of the things there are.
//! - [`outcomes`]: the one table of what a request can come to.
//! - [`settings`]: the one table of what an operator can decide.
//! - [`adapter`]: what a component is built over, and [`journal`], the
//!   interface of that name as a trait.
//! - `intake`, `http`: the exports, thin shells over the heart.
//!
//! The bundled host takes its tables from here too, and its tests run without
//! wasm.

#![cfg_attr(target_arch = "wasm32", no_std)]
// A trap is a lost notification.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;
#[cfg(target_arch = "wasm32")]
extern crate batchtask_runtime as _;

pub use batchtask_notification::Class;

pub mod adapter;
pub mod bindings;
pub mod journal;
pub mod json;
pub mod outcomes;
pub mod page;
pub mod reads;
pub mod receiver;
pub mod routes;
pub mod sender;
pub mod settings;
pub mod views;

#[cfg(target_arch = "wasm32")]
mod http;
#[cfg(target_arch = "wasm32")]
mod intake;
#[cfg(test)]
mod testing;
