//! Rust types generated from `wit/`. Only `component` uses them; the rest of the
//! host uses the types of `batchtask_guest`.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "batchtask:receiver/receiver",
    imports: { default: async | trappable },
    exports: { default: async },
});
