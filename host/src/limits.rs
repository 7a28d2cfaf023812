//! Every limit of the host, in one place: what it is called, what it is
//! unless said otherwise, and what it is for.

use std::time::Duration;

use clap::Args;
use clap::builder::{RangedI64ValueParser, RangedU64ValueParser};

/// The limits of a host. Beyond one, the answer comes at once: 408, 413, 431
/// or 503, or the end of the connection.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections open at once; one more is answered 503 and closed, with TLS
    /// only closed
    #[arg(long, value_name = "N", env = "BATCHTASK_MAX_CONNECTIONS", default_value_t = Self::DEFAULT.max_connections, value_parser = some())]
    pub max_connections: usize,
    /// Requests being read or answered at once; one more is answered 503
    #[arg(long, value_name = "N", env = "BATCHTASK_MAX_IN_FLIGHT", default_value_t = Self::DEFAULT.max_in_flight, value_parser = some())]
    pub max_in_flight: usize,
    /// Reads at once, each until its answer was taken; one more is answered 503,
    /// so that readers never keep notifications waiting
    #[arg(long, value_name = "N", env = "BATCHTASK_MAX_READS", default_value_t = Self::DEFAULT.max_reads, value_parser = some())]
    pub max_reads: usize,
    /// Bytes of a request's header; more are answered 431
    #[arg(long, value_name = "N", env = "BATCHTASK_HEADER_BYTES", default_value_t = Self::DEFAULT.header_bytes, value_parser = RangedU64ValueParser::<usize>::new().range(8192..))]
    pub header_bytes: usize,
    /// Seconds from the first byte of a header to its last, and for a TLS
    /// handshake
    #[arg(long, value_name = "S", env = "BATCHTASK_HEADER_SECONDS", default_value_t = Self::DEFAULT.header_seconds, value_parser = a_time())]
    pub header_seconds: u32,
    /// Seconds that a connection may be silent between requests; with HTTP/2,
    /// that it may leave a ping unanswered
    #[arg(long, value_name = "S", env = "BATCHTASK_IDLE_SECONDS", default_value_t = Self::DEFAULT.idle_seconds, value_parser = a_time())]
    pub idle_seconds: u32,
    /// Seconds for a body to arrive; after them the answer is 408
    #[arg(long, value_name = "S", env = "BATCHTASK_BODY_SECONDS", default_value_t = Self::DEFAULT.body_seconds, value_parser = a_time())]
    pub body_seconds: u32,
    /// Seconds from the end of the header to the answer, the body included;
    /// after them it is 503. The platform waits for 15
    #[arg(long, value_name = "S", env = "BATCHTASK_REQUEST_SECONDS", default_value_t = Self::DEFAULT.request_seconds, value_parser = a_time())]
    pub request_seconds: u32,
    /// Seconds in which a caller must take some of its answer (HTTP/1.1)
    #[arg(long, value_name = "S", env = "BATCHTASK_WRITE_SECONDS", default_value_t = Self::DEFAULT.write_seconds, value_parser = a_time())]
    pub write_seconds: u32,
    /// Seconds after a signal to stop for what is in flight to end
    #[arg(long, value_name = "S", env = "BATCHTASK_DRAIN_SECONDS", default_value_t = Self::DEFAULT.drain_seconds)]
    pub drain_seconds: u32,
    /// MiB that must stay free on the journal's disk; below, notifications are
    /// answered 503
    #[arg(long, value_name = "N", env = "BATCHTASK_MIN_FREE_DISK_MIB", default_value_t = Self::DEFAULT.min_free_disk_mib)]
    pub min_free_disk_mib: u32,
    /// Instances of the component alive at once; a request waits for one
    #[arg(long, value_name = "N", env = "BATCHTASK_MAX_INSTANCES", default_value_t = Self::DEFAULT.max_instances, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub max_instances: u32,
    /// MiB of memory an instance may have
    #[arg(long, value_name = "N", env = "BATCHTASK_INSTANCE_MEMORY_MIB", default_value_t = Self::DEFAULT.instance_memory_mib, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub instance_memory_mib: u32,
}

impl Limits {
    /// What holds unless said otherwise.
    pub const DEFAULT: Self = Self {
        max_connections: 4096,
        max_in_flight: 1024,
        max_reads: 32,
        header_bytes: 16 << 10,
        header_seconds: 10,
        idle_seconds: 75,
        body_seconds: 5,
        request_seconds: 9,
        write_seconds: 10,
        drain_seconds: 12,
        min_free_disk_mib: 32,
        max_instances: 256,
        // A body of the default limit, what it decodes to, and an answer.
        instance_memory_mib: 32,
    };

    pub(crate) fn header_time(&self) -> Duration {
        seconds(self.header_seconds)
    }

    pub(crate) fn idle_time(&self) -> Duration {
        seconds(self.idle_seconds)
    }

    pub(crate) fn body_time(&self) -> Duration {
        seconds(self.body_seconds)
    }

    pub(crate) fn request_time(&self) -> Duration {
        seconds(self.request_seconds)
    }

    pub(crate) fn write_time(&self) -> Duration {
        seconds(self.write_seconds)
    }

    pub(crate) fn drain_time(&self) -> Duration {
        seconds(self.drain_seconds)
    }

    pub(crate) fn instance_memory_bytes(&self) -> usize {
        (self.instance_memory_mib as usize) << 20
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Without any nothing would be let in; of more no machine has room.
fn some() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1_000_000)
}

/// Without any everything would be too late.
fn a_time() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// Fields in a header; hyper answers more with 431.
pub(crate) const HEADER_FIELDS: usize = 64;

/// Requests at once on one HTTP/2 connection.
pub(crate) const HTTP2_STREAMS: u32 = 128;

/// Stack of an instance's native code; the component's own is in its memory.
pub(crate) const WASM_STACK_BYTES: usize = 256 << 10;

/// How much of each memory, table and stack stays mapped between uses.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// How long an instance may compute before others get their turn. What cuts it
/// off is the time of its request.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(10);
