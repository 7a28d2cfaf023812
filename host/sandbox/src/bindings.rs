//! Rust types generated from `wit/`. The imports of WASI are those of Wasmtime, so they
//! are not in this world.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    reason = "generated; the documentation is in wit/"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package batchtask:sandbox;
        world component {
            import batchtask:receiver/settings@0.2.0;
            export batchtask:receiver/delivery@0.2.0;
        }
    ",
    world: "batchtask:sandbox/component",
    imports: { default: async | trappable },
    exports: { default: async },
});
