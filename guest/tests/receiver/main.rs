//! The core, driven from outside.
//!
//! - `clocks`: wrong clocks, and changes without a time.
//! - `decisions`: the answers to requests, and what is to be stored.
//! - `forms`: every form in which a genuine request may come.
//! - `lengths`: lists and pages stay bounded.
//! - `signatures`: a signature admits one notification.
//! - `support`: a journal in memory, and requests.

mod clocks;
mod decisions;
mod forms;
mod lengths;
mod signatures;
mod support;
