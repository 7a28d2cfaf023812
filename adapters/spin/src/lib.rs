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
//! one signature or reject in many removes old ones.
//!
//! The tests run the suite of every journal; `tests/conformance.rs` lists what
//! the store cannot do and why. In short:
//!
//! - An event and its signature are two writes. If the second one fails, the
//!   sender repeats the event. Two requests with one signature that arrive in
//!   the same moment both pass.
//! - An event that arrives again is counted once for each request id.
//! - Tasks that changed at the same instant are listed by their hash.
//! - Flags, request ids and the last arrival of a task are those of its newest
//!   [`TRAIL_STEPS_MAX`] events; in a list, those of the newest event, and of
//!   undocumented statuses.
//! - The last arrival in the summary is that of the newest event, and stale
//!   tasks are not counted.
//! - `late` covers a page and the event after it.
//! - A `seq` is the instant of arrival.
//! - The bounds are those in [`limits`].
//!
//! [`TRAIL_STEPS_MAX`]: batchtask_guest::journal::TRAIL_STEPS_MAX

#![cfg_attr(target_arch = "wasm32", no_std)]

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
