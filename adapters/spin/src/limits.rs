//! All limits of the adapter. The limits that apply to every journal are in
//! [`batchtask_guest::journal`].

/// The greatest length of a value that every key-value backend accepts, in bytes.
pub const MAX_VALUE_BYTES: usize = 400_000;

/// The greatest number of keys of one kind that a read goes through. A bucket is
/// listed completely, because Spin has no cursor, and each key takes about 200
/// bytes of memory.
pub const MAX_KEYS: usize = 250_000;

/// The greatest number of tasks that a list reads for one page. Some filters need
/// the value of each task.
pub const MAX_TASKS_READ: usize = 2_000;

/// The greatest number of rejects in the quarantine. Only one write in
/// `QUARANTINE_PRUNED_EVERY` removes old ones, so for a while there may be more.
pub const MAX_REJECTS: usize = 256;
/// The greatest total length of the rejects, in bytes. See [`MAX_REJECTS`].
pub const MAX_QUARANTINE_BYTES: u64 = 8 << 20;
/// One in this many writes removes old rejects. A power of two.
pub(crate) const QUARANTINE_PRUNED_EVERY: u8 = 16;

/// One in this many new signatures removes old ones. A power of two.
pub(crate) const SIGNATURES_PRUNED_EVERY: u8 = 128;
/// The number of signatures that are checked then. It is twice the number of new
/// ones since the last time, so at most half of the stored ones have expired.
pub(crate) const SIGNATURES_PRUNED_AT_ONCE: usize = 256;
