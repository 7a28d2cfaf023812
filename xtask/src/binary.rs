//! Reads the imports and exports of a component, and removes its custom sections.

use std::ops::Range;

use anyhow::Context;
use wasm_encoder::{Component, Module, ModuleSection, NestedComponentSection, RawSection};
use wasmparser::{Parser, Payload};

/// The imports and exports of a component.
pub(crate) struct Shape {
    /// The names of its imports.
    pub(crate) imports: Vec<String>,
    /// The names of its exports.
    pub(crate) exports: Vec<String>,
}

/// Reads the imports and exports of a component.
pub(crate) fn shape(wasm: &[u8]) -> anyhow::Result<Shape> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Shape { imports, exports })
}

/// Returns a component without custom sections, such as names for debuggers, in all
/// nested modules and components.
pub(crate) fn without_custom_sections(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(component(wasm)?.finish())
}

fn component(wasm: &[u8]) -> anyhow::Result<Component> {
    let mut component = Component::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        match &payload {
            Payload::CustomSection(_) => {}
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Payload::ComponentSection {
                unchecked_range, ..
            } => {
                let inner = self::component(bytes(wasm, unchecked_range)?)?;
                component.section(&NestedComponentSection(&inner));
            }
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                let inner = module(bytes(wasm, unchecked_range)?)?;
                component.section(&ModuleSection(&inner));
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let data = bytes(wasm, &range)?;
                    component.section(&RawSection { id, data });
                }
            }
        }
        if matches!(
            payload,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
        ) {
            depth += 1;
        }
    }
    Ok(component)
}

fn module(wasm: &[u8]) -> anyhow::Result<Module> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::CustomSection(_) = payload {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            let data = bytes(wasm, &range)?;
            module.section(&RawSection { id, data });
        }
    }
    Ok(module)
}

fn bytes<'a>(wasm: &'a [u8], range: &Range<u64>) -> anyhow::Result<&'a [u8]> {
    let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
    wasm.get(range)
        .context("a section exceeds the end of the file")
}
