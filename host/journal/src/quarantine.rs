//! How rejects share the quarantine: large ones never push small ones out of
//! the half that is theirs.

/// A reject of at most this many bytes is small, see
/// [`page::reject_bytes`](crate::page::reject_bytes): it holds a notification
/// of the usual size.
pub const SMALL_REJECT_BYTES_MAX: u64 = 16 * 1024;

/// The size of a reject, by which the quarantine is shared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RejectSize {
    /// At most [`SMALL_REJECT_BYTES_MAX`].
    Small,
    /// Larger than that.
    Large,
}

impl RejectSize {
    /// The size of a reject that takes `bytes` bytes.
    pub const fn of(bytes: u64) -> Self {
        if bytes <= SMALL_REJECT_BYTES_MAX {
            Self::Small
        } else {
            Self::Large
        }
    }

    /// The most bytes that one reject of this size may take in a quarantine of
    /// `max_bytes`. A larger one is dropped at once, and costs the others
    /// nothing.
    pub const fn reject_bytes_max(self, max_bytes: u64) -> u64 {
        match self {
            Self::Small => max_bytes,
            Self::Large => max_bytes / 2,
        }
    }
}

/// The bytes that the rejects of each size take.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shares {
    /// The bytes of the small rejects.
    pub small: u64,
    /// The bytes of the large rejects.
    pub large: u64,
}

impl Shares {
    /// The bytes of all rejects.
    pub const fn total(self) -> u64 {
        self.small + self.large
    }

    /// Adds a reject of `bytes` bytes.
    pub const fn add(&mut self, bytes: u64) {
        *self.share(bytes) += bytes;
    }

    /// Removes a reject of `bytes` bytes.
    pub const fn remove(&mut self, bytes: u64) {
        let share = self.share(bytes);
        *share = share.saturating_sub(bytes);
    }

    /// The size whose oldest reject must go next, or `None` if all rejects fit
    /// into `max_bytes`. Each size has half of the quarantine for itself, and
    /// may use what the other does not need.
    pub const fn excess(self, max_bytes: u64) -> Option<RejectSize> {
        if self.total() <= max_bytes {
            None
        } else if self.large > max_bytes / 2 {
            Some(RejectSize::Large)
        } else {
            Some(RejectSize::Small)
        }
    }

    const fn share(&mut self, bytes: u64) -> &mut u64 {
        match RejectSize::of(bytes) {
            RejectSize::Small => &mut self.small,
            RejectSize::Large => &mut self.large,
        }
    }
}
