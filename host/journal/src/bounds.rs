//! The bounds that every backend keeps. Those that the guest knows too are in
//! [`batchtask_guest::journal`].

/// The bounds of what accumulates in a journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The most bytes of rejects: [`page::reject_bytes`](crate::page::reject_bytes)
    /// of each. Small and large rejects have half of it each, see
    /// [`Shares`](crate::Shares); the oldest of a size are dropped first. A
    /// reject that does not fit alone is dropped at once.
    pub quarantine_max_bytes: u64,
    /// The most signatures. Beyond this, the signatures that would expire next
    /// are forgotten: to refuse a notification would lose it, whereas a
    /// repeated one is still found to be a duplicate.
    pub signatures_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            quarantine_max_bytes: 16 * 1024 * 1024,
            signatures_max: 1_000_000,
        }
    }
}

/// Longer request ids, in bytes, are kept in their event, but not listed.
pub const LISTED_REQUEST_ID_BYTES_MAX: usize = 1024;
/// A trail ends with the step that reaches this many bytes of status, because a
/// status may be any text.
pub const TRAIL_BYTES_MAX: usize = 16 * 1024;
