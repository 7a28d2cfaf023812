//! What `wit/` says, as Rust: generated, and the one definition of every type
//! that crosses between component and host.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "batchtask:receiver/receiver",
    imports: { default: async | trappable },
    exports: { default: async },
});
