//! The Rust bindings of `wit/world.wit`: generated. Interfaces that the guest
//! also uses are taken from the guest's bindings.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wit_bindgen::generate!({
    path: ["../../wit", "wit"],
    world: "batchtask:forward/imports",
    with: {
        "wasi:http/types@0.2.0": batchtask_guest::bindings::handler::wasi::http::types,
        "wasi:io/error@0.2.0": batchtask_guest::bindings::handler::wasi::io::error,
        "wasi:io/poll@0.2.0": batchtask_guest::bindings::handler::wasi::io::poll,
        "wasi:io/streams@0.2.0": batchtask_guest::bindings::handler::wasi::io::streams,
    },
    generate_all,
});
