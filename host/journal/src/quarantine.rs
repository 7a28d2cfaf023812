//! How rejects share the quarantine: large rejects never displace small ones from
//! their half, and small ones never displace large ones from theirs.

/// The greatest size of a small reject in bytes, measured by
/// [`page::reject_bytes`](crate::page::reject_bytes). A notification of the
/// usual size fits into it.
pub const SMALL_REJECT_BYTES_MAX: u64 = 16 * 1024;

/// The size class of a reject. Each class has half of the quarantine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RejectSize {
    /// At most [`SMALL_REJECT_BYTES_MAX`].
    Small,
    /// Larger than that.
    Large,
}

impl RejectSize {
    /// Returns the size class of a reject that takes `bytes` bytes.
    pub const fn of(bytes: u64) -> Self {
        if bytes <= SMALL_REJECT_BYTES_MAX {
            Self::Small
        } else {
            Self::Large
        }
    }

    /// Returns how many bytes a single reject of this size may take in a
    /// quarantine of `max_bytes`. A larger reject is dropped at once, and no
    /// other reject is dropped for it.
    pub const fn reject_bytes_max(self, max_bytes: u64) -> u64 {
        match self {
            Self::Small => max_bytes,
            Self::Large => max_bytes / 2,
        }
    }
}

/// How many bytes the rejects of each size take.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shares {
    /// The bytes of the small rejects.
    pub small: u64,
    /// The bytes of the large rejects.
    pub large: u64,
}

impl Shares {
    /// Returns the bytes of all rejects.
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

    /// Returns the size whose oldest reject must be dropped next, or `None` if
    /// all rejects fit into `max_bytes`. Each size has half of the quarantine,
    /// and may also use what the other size leaves free.
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
