//! The receiver's `journal` as a webhook: what is appended is posted on, as a
//! CloudEvents message that is signed by the Standard Webhooks scheme, and is
//! durable when the other side answers 2xx in time. The component of the world
//! `adapter` in `wit/`.
//!
//! - [`endpoint`]: where to, and signed with what: the settings.
//! - [`message`]: an event, or a reject, as a CloudEvents message.
//! - [`signature`]: the Standard Webhooks scheme.
//! - `send`: one request, within a time limit.
//! - `export`: the interfaces `journal` and `settings`.
//!
//! It remembers nothing: every read is `unsupported`, an event that arrives
//! again is posted again under the same id, and a nonce is not looked at. Its
//! receiver tells repetitions by `webhook-id`, which is the event's digest.

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

pub mod bindings;
pub mod endpoint;
#[path = "../../../guest/src/json.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the receiver's own writer, of which this needs a part"
)]
mod json;
pub mod message;
pub mod signature;

#[cfg(target_arch = "wasm32")]
mod export;
#[cfg(target_arch = "wasm32")]
mod send;
