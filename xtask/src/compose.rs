//! Plugs an adapter into the receiver, like `wac plug`.

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug as plug_into};

/// Returns a component with the exports of `receiver`, whose imports are connected
/// to the exports of `adapter`.
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
