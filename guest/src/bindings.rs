//! The Rust bindings of `wit/`: generated.
//!
//! A record that both `intake` and `journal` declare is one Rust type, so no
//! conversion is needed.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "batchtask:receiver/receiver",
    pub_export_macro: true,
    merge_structurally_equal_types: true,
    generate_all,
});

/// The bindings of the world `handler`, for `wasi:http`.
pub mod handler {
    wit_bindgen::generate!({
        path: "../wit",
        world: "batchtask:receiver/handler",
        pub_export_macro: true,
        generate_all,
    });
}
