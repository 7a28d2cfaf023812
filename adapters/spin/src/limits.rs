//! Every limit of the adapter, in one place.

/// The longest value that every key-value backend takes, in bytes.
pub const MAX_VALUE_BYTES: usize = 400_000;

/// How many keys of one kind a read goes through at most: a bucket is listed
/// whole, for Spin has no cursor, and each key takes about 200 bytes of memory.
pub const MAX_KEYS: usize = 250_000;

/// How many tasks a list looks at for one page: filters on what only values
/// tell read a value a task.
pub const MAX_TASKS_READ: usize = 2_000;

/// About how many bytes a page of events or rejects has at most.
pub(crate) const PAGE_BYTES: usize = 1 << 20;

/// How many of a task's newest events are read to show it: the length of its
/// trail.
pub const MAX_TRAIL: usize = 64;

/// How many request ids are told of a task or an event.
pub(crate) const MAX_REQUEST_IDS: usize = 16;

/// A longer request id is kept with its event, but not listed, in bytes.
pub(crate) const MAX_REQUEST_ID_BYTES: usize = 256;

/// The longest nonce, in bytes.
pub(crate) const MAX_NONCE_BYTES: usize = 256;

/// How many rejects the quarantine keeps, and how many bytes of them. Pruning
/// is left to one write in `QUARANTINE_PRUNED_EVERY`, so there may be some
/// more for a while.
pub const MAX_REJECTS: usize = 256;
/// See [`MAX_REJECTS`].
pub const MAX_QUARANTINE_BYTES: u64 = 8 << 20;
/// See [`MAX_REJECTS`]. A power of two.
pub(crate) const QUARANTINE_PRUNED_EVERY: u8 = 16;

/// One in so many nonces also removes old ones. A power of two.
pub(crate) const NONCES_PRUNED_EVERY: u8 = 128;
/// How many nonces are looked at then: twice as many as came since, so at most
/// half of those that are kept have expired.
pub(crate) const NONCES_PRUNED_AT_ONCE: usize = 256;
