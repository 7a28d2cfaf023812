//! The receiver with a webhook as its journal. It posts each event to an
//! endpoint, as a CloudEvents message that is signed by the Standard Webhooks
//! scheme. The event counts as durable if the endpoint answers 2xx in time. The messages
//! are those of the crate `webhook`.
//!
//! - [`endpoint`]: the settings: the URL to post to, and the keys to sign with. The
//!   header fields of a post.
//! - `failure`: the texts of failed posts.
//! - `send`: posts one message, within a time limit.
//! - `component`: the component for WASI 0.2: the guest with this journal. Only with the
//!   feature `component`: `adapters/forward-p3` is the same for WASI 0.3.
//!
//! It stores nothing. Every read is `unsupported`, and used signatures are not
//! remembered. An event that arrives again is posted again with the same id. The
//! endpoint recognizes repetitions by `webhook-id`, which is the event's digest.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[cfg(feature = "component")]
pub mod bindings;
pub mod endpoint;
mod failure;

#[cfg(all(target_arch = "wasm32", feature = "component"))]
mod component;
#[cfg(all(target_arch = "wasm32", feature = "component"))]
mod send;
