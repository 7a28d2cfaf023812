//! An adapter that keeps nothing and sets nothing, so that hosts of
//! `wasi:http` can be compared without a journal. It says `recorded` to
//! everything, which is untrue: never run it but to measure.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;
#[cfg(target_arch = "wasm32")]
extern crate batchtask_runtime as _;

pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod export;
