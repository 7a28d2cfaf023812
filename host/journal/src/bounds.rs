//! The bounds that every backend keeps. The bounds that the guest also needs are
//! in [`batchtask_guest::journal`].

/// The bounds of data that accumulates in a journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The maximum size of the quarantine in bytes, measured by
    /// [`page::reject_bytes`](crate::page::reject_bytes). Small and large rejects
    /// have half of it each, see [`Shares`](crate::Shares); the oldest rejects of
    /// a size are dropped first. A reject that does not fit even into an empty
    /// quarantine is dropped at once.
    pub quarantine_max_bytes: u64,
    /// The maximum number of signatures. Beyond it, the signatures that would
    /// expire next are forgotten. The alternative, refusing notifications, would
    /// lose them; a repeated notification is still found to be a duplicate.
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

/// The greatest length in bytes of a listed request id. Longer ones stay in their
/// event only.
pub const LISTED_REQUEST_ID_BYTES_MAX: usize = 1024;
/// The bytes of status at which a trail ends, because a status may be any text.
/// The step that reaches this number is included.
pub const TRAIL_BYTES_MAX: usize = 16 * 1024;
