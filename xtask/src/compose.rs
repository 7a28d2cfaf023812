//! Plugs an adapter into the receiver, as `wac plug` does.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug as plug_into};

/// A component that exports what `receiver` does, and takes the imports that
/// `adapter` exports from it.
pub(crate) fn plug(receiver: &[u8], adapter: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, wasm: &[u8]| -> anyhow::Result<_> {
        let package = Package::from_bytes(name, None, wasm.to_vec(), graph.types_mut())?;
        Ok(graph.register_package(package)?)
    };
    let receiver = register("batchtask:guest", receiver)?;
    let adapter = register("batchtask:adapter", adapter)?;
    plug_into(&mut graph, vec![adapter], receiver)?;
    Ok(graph.encode(EncodeOptions::default())?)
}
