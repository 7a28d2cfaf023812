//! The Rust bindings of `wit/world.wit`: generated.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "batchtask:forward-p3/service",
    generate_all,
});

export!(Forward);

use crate::Forward;
