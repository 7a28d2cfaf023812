//! The notifications of an export of events.

use anyhow::{Context, bail};
use batchtask_guest::journal::{Source, source_name};
use bytes::Bytes;

use crate::reader::Event;

/// Returns the bodies of events, which are JSON objects on a line each. Events that did not
/// arrive as a notification are left out.
///
/// # Errors
/// A line is not an event, or its body is not text.
pub(super) fn bodies(lines: &[u8]) -> anyhow::Result<Vec<Bytes>> {
    let mut bodies = Vec::new();
    for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let event: Event = serde_json::from_slice(line)
            .with_context(|| format!("line {number} is not an event of `export events`"))?;
        if event.source == source_name(Source::Reconcile) {
            continue;
        }
        let Some(body) = event.body else {
            bail!("the body in line {number} is not UTF-8, so it is not in the export");
        };
        bodies.push(body.into());
    }
    if bodies.is_empty() {
        bail!("the file has no notification to send");
    }
    Ok(bodies)
}
