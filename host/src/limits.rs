//! Every limit of the host, in one place.

use std::time::Duration;

/// Instances that may live at once, whether busy or waiting to be used again.
pub const MAX_INSTANCES: u32 = 256;

/// Requests that may be in the component, or waiting for it, at once.
pub const MAX_IN_FLIGHT: usize = 1024;

/// Linear memory of an instance: a body of the default limit, what it decodes
/// to, and an answer.
pub const INSTANCE_MEMORY_BYTES: usize = 64 << 20;

/// Stack of an instance; the component itself asks for 64 KiB of shadow stack.
pub const WASM_STACK_BYTES: usize = 256 << 10;

/// How much of each memory, table and stack stays mapped between uses.
pub const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// From the first byte of a connection, or the end of the answer before, to
/// the end of the header.
pub const HEADER_TIME: Duration = Duration::from_secs(10);

/// From the end of the header to the end of the body.
pub const BODY_TIME: Duration = Duration::from_secs(10);

/// In the component and the journal. With [`BODY_TIME`] it stays below the
/// 15 s after which the platform gives up.
pub const EXCHANGE_TIME: Duration = Duration::from_secs(9);

/// Size of the header.
pub const HEADER_BYTES: usize = 16 << 10;

/// Fields in the header.
pub const HEADER_FIELDS: usize = 64;

/// After a signal to stop, for what is in flight to end.
pub const DRAIN_TIME: Duration = Duration::from_secs(12);
