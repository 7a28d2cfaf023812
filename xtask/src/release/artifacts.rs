//! The components as artifacts of registries, in the format of the CNCF's working group
//! for WebAssembly, which Spin and `wkg` read.

use std::fs;

use super::Release;
use super::oci::Layout;
use crate::artifact::ARTIFACTS;
use crate::binary;

/// Writes an archive `NAME.oci.tar` for each component.
pub(super) fn build(release: &Release) -> anyhow::Result<()> {
    for artifact in ARTIFACTS {
        let name = artifact.file.trim_end_matches(".wasm");
        let wasm = fs::read(release.output.join(artifact.file))?;
        let shape = binary::shape(&wasm)?;
        let layout = Layout::new(release, name)?;
        let layer = layout.blob("application/wasm", &wasm)?;
        let config = format!(
            r#"{{"created":"{}","author":null,"architecture":"wasm","os":"wasip2","layerDigests":["{}"],"component":{{"exports":{:?},"imports":{:?},"target":null}}}}"#,
            release.commit.rfc3339, layer.digest, shape.exports, shape.imports,
        );
        let config = layout.blob("application/vnd.wasm.config.v0+json", config.as_bytes())?;
        let output = release.output.join(format!("{name}.oci.tar"));
        layout.finish(name, &config, &layer, &output)?;
    }
    Ok(())
}
