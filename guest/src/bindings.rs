//! What `wit/` says, as Rust: generated.
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
