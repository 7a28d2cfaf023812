//! The memory limit of an instance.

use wasmtime::ResourceLimiter;

use crate::limits::KEEP_RESIDENT_BYTES;

/// Limits the memory of an instance, and records its size.
pub(super) struct Memory {
    max_bytes: usize,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
        }
    }

    /// Whether the instance has more memory than stays mapped between uses.
    pub(super) fn has_grown(&self) -> bool {
        self.bytes > KEEP_RESIDENT_BYTES
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.bytes = self.bytes.max(desired);
        Ok(desired <= self.max_bytes)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool limits tables.
        Ok(true)
    }
}
