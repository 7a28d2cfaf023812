//! Runs the batch-task receiver.
//!
//! - [`journal`]: what the component's appends go to.
//! - [`bindings`]: the types of `wit/`.

pub mod bindings;
pub mod journal;
