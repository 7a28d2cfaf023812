//! What `wit/` says, as Rust: generated. Only `component` uses these types; the
//! rest of the host uses those of `batchtask_guest`.
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
