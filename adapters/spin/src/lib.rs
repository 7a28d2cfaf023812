//! The receiver over what Spin offers: its journal is a key-value store, its
//! settings are variables.
//!
//! An event is one key, written once. A set of keys needs no transaction and
//! no compare-and-swap, and a task's state is the greatest of its events, so
//! concurrent writers cannot disturb one another; a store that can keep a set
//! can keep the journal.
//!
//! - [`key`]: the names of things in the bucket, and their order.
//! - [`value`]: what they lead to.
//! - [`journal`]: the interface of that name; `append`, `tasks`, `history`,
//!   `summary` and `quarantine` are its parts, [`timeline`] what they read.
//! - [`bucket`]: the key-value store, as a trait.
//! - [`settings`]: the interface of that name.
//! - `component`: the guest over both, and so the component.
//! - [`limits`]: every limit.
//!
//! What a key-value store cannot do: the feed in order of arrival is
//! `unsupported`, and so are reads over more than [`limits::MAX_KEYS`] keys,
//! for a bucket can only be listed whole. Writes never list it, except that
//! one nonce or reject in many removes old ones.
//!
//! Where a read is not exact: a task that changed at the same instant as
//! another is listed by its hash; its oddities, request ids and last arrival
//! are those of its newest [`limits::MAX_TRAIL`] events, in a list those of
//! the newest one; the summary's last arrival is that of the newest event,
//! and it counts no silent tasks; `late` looks no further than one event past its page; an
//! event that arrives again is counted once for each request id; and a `seq`
//! is the instant of arrival. Two requests with one nonce that arrive in the
//! same moment both pass.

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

mod append;
pub mod bindings;
pub mod bucket;
mod history;
pub mod journal;
pub mod key;
pub mod limits;
mod quarantine;
pub mod settings;
mod summary;
mod tasks;
pub mod timeline;
pub mod value;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;
