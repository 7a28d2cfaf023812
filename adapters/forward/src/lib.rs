//! The receiver whose journal is a webhook: what is appended is posted on, as a
//! CloudEvents message that is signed by the Standard Webhooks scheme, and is
//! durable when the other side answers 2xx in time.
//!
//! - [`endpoint`]: where to, and signed with what: the settings.
//! - [`message`]: an event, or a reject, as a CloudEvents message.
//! - [`signature`]: the Standard Webhooks scheme.
//! - `send`: one request, within a time limit.
//! - `component`: the guest over it, and so the component.
//!
//! It remembers nothing: every read is `unsupported`, an event that arrives
//! again is posted again under the same id, and a used signature is not
//! remembered. Its receiver tells repetitions by `webhook-id`, which is the
//! event's digest.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

pub mod bindings;
pub mod endpoint;
pub mod message;
pub mod signature;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod send;
