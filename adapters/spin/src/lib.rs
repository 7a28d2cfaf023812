//! The receiver for Spin: its journal is in a key-value store, and its settings
//! are variables.
//!
//! An event is one key, which is written once. The state of a task is the
//! greatest of its events. So the journal needs no transaction and no
//! compare-and-swap, and concurrent writers do not affect each other. Any store
//! that can keep a set of keys can keep the journal.
//!
//! - [`key`]: the keys in the bucket, and their order.
//! - [`value`]: the values of the keys.
//! - [`journal`]: the interface `journal`. `append`, `tasks`, `history`,
//!   `summary` and `quarantine` are its parts; [`timeline`] reads the keys.
//! - [`bucket`]: the key-value store, as a trait.
//! - [`settings`]: the settings in Spin's variables.
//! - `component`: the component: the guest with this journal and these settings.
//! - [`limits`]: all limits.
//!
//! A key-value store has no order of arrival, so the feed is `unsupported`. A
//! bucket can only be listed completely, so reads over more than
//! [`limits::MAX_KEYS`] keys are `unsupported` too. Writes do not list it, except
//! that one signature or reject in many removes old ones.
//!
//! The tests run the conformance suite of all journals. `tests/conformance.rs`
//! lists what the store cannot do, and why. In short:
//!
//! - An event and its signature are two writes. If the second one fails, the
//!   sender repeats the event. If two requests with one signature arrive at the
//!   same moment, both are accepted.
//! - An event that arrives again is counted once for each request id.
//! - Tasks that changed at the same instant are listed by their hash.
//! - Flags, request ids and the last arrival of a task are those of its newest
//!   [`TRAIL_STEPS_MAX`] events. In a list, they are those of the newest event
//!   and of events with undocumented statuses.
//! - The last arrival in the summary is that of the newest event, and stale
//!   tasks are not counted.
//! - `late` considers the events of a page and the event after it.
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
