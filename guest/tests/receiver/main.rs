//! Tests of the core through its public functions.
//!
//! - `clocks`: wrong clocks, and changes without a time.
//! - `decisions`: the answers to requests, and the entries to store.
//! - `forms`: all forms of genuine requests.
//! - `lengths`: lists and pages have a bounded length.
//! - `pages`: the pages, in both languages.
//! - `signatures`: a signature admits one notification.
//! - `support`: a journal in memory, and requests.

mod clocks;
mod decisions;
mod forms;
mod lengths;
mod pages;
mod signatures;
mod support;
