//! An adapter that stores nothing and has no settings, to compare hosts of `wasi:http`
//! without a journal. It answers `recorded` although nothing is stored, so use it only
//! for measurements.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;
#[cfg(target_arch = "wasm32")]
extern crate batchtask_runtime as _;

pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod export;
