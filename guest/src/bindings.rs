//! What `wit/` says, as Rust: generated.
//!
//! The records that `intake` and `journal` both declare are one Rust type, so
//! nothing is converted between them.
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

/// The world `handler`: what is behind `wasi:http`.
pub mod handler {
    wit_bindgen::generate!({
        path: "../wit",
        world: "batchtask:receiver/handler",
        pub_export_macro: true,
        generate_all,
    });
}
