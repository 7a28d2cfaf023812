//! Every limit of the adapter, in one place. The limits of every journal are in
//! [`batchtask_guest::journal`].

/// The longest value that every key-value backend takes, in bytes.
pub const MAX_VALUE_BYTES: usize = 400_000;

/// How many keys of one kind a read goes through at most: a bucket is listed
/// whole, for Spin has no cursor, and each key takes about 200 bytes of memory.
pub const MAX_KEYS: usize = 250_000;

/// How many tasks a list looks at for one page: filters on what only values
/// tell read a value a task.
pub const MAX_TASKS_READ: usize = 2_000;

/// How many rejects the quarantine keeps, and how many bytes of them. Pruning
/// is left to one write in `QUARANTINE_PRUNED_EVERY`, so there may be some
/// more for a while.
pub const MAX_REJECTS: usize = 256;
/// See [`MAX_REJECTS`].
pub const MAX_QUARANTINE_BYTES: u64 = 8 << 20;
/// See [`MAX_REJECTS`]. A power of two.
pub(crate) const QUARANTINE_PRUNED_EVERY: u8 = 16;

/// Old signatures are removed with every N-th new one. A power of two.
pub(crate) const SIGNATURES_PRUNED_EVERY: u8 = 128;
/// How many signatures are looked at then: twice as many as came since, so at
/// most half of those that are kept have expired.
pub(crate) const SIGNATURES_PRUNED_AT_ONCE: usize = 256;
