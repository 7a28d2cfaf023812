//! The core, driven from outside.
//!
//! - `decisions`: the answers to requests, and what is to be stored.
//! - `signatures`: a signature admits one notification.
//! - `support`: a journal in memory, and requests.

mod decisions;
mod signatures;
mod support;
