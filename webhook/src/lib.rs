//! What an event is as a webhook. The component `adapters/forward` and the native
//! `host/relay` send the same messages.
//!
//! - [`message`]: an event or a reject as a CloudEvents message.
//! - [`signature`]: the Standard Webhooks scheme.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

pub mod message;
pub mod signature;

pub use self::message::Message;
pub use self::signature::Key;
