//! The bindings of `wit/`, generated.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "batchtask:receiver/adapter",
    pub_export_macro: true,
    generate_all,
});
