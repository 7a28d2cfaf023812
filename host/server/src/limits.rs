//! Every limit of the host, declared once: field, default, range and help.

use std::time::Duration;

/// The declaration of a limit.
pub struct Limit {
    /// The name, such as `max_connections`. The flag, the variable and the key
    /// of the configuration file are made from it.
    pub name: &'static str,
    /// The unit of its value: `S` for seconds, `N` for others.
    pub unit: &'static str,
    /// What it does.
    pub help: &'static str,
    /// The least value.
    pub min: u32,
    /// The greatest value.
    pub max: u32,
    /// The default.
    pub default: u32,
    set: fn(&mut Limits, u32),
}

macro_rules! limits {
    ($($(#[doc = $help:literal])* $field:ident $unit:literal $min:literal..=$max:expr, $default:expr;)*) => {
        /// The limits of a host. A request that exceeds a limit waits, is answered
        /// 408, 413, 431 or 503, or its connection is closed.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[doc = $help])* pub $field: u32,)*
        }

        impl Limits {
            /// The defaults.
            pub const DEFAULT: Self = Self { $($field: $default,)* };

            /// Every limit.
            pub const ALL: &[Limit] = &[$(Limit {
                name: stringify!($field),
                unit: $unit,
                help: concat!($($help,)*).trim_ascii_start(),
                min: $min,
                max: $max,
                default: $default,
                set: |limits, value| limits.$field = value,
            },)*];
        }
    };
}

limits! {
    /// Open connections. If there are more, the oldest idle connection of the address with the most connections is closed
    max_connections "N" 1..=1_000_000, 4096;
    /// Complete requests that are answered at the same time. Others wait
    max_in_flight "N" 1..=1_000_000, 1024;
    /// Incomplete requests. If there are more, the oldest one of the address or HTTP/2 connection with the most is refused. Requests of proven senders are never refused for this
    max_unfinished "N" 1..=1_000_000, 4096;
    /// MiB for all bodies longer than 8 KiB together. Half of it is reserved for senders that the head of the request proves. If there is no room, a body waits
    body_memory_mib "N" 1..=4096, 32;
    /// Reads at the same time. A read counts until its answer has been sent. Others are answered 503, so that reads never delay notifications
    max_reads "N" 1..=1_000_000, 32;
    /// Live streams of events at the same time (`GET /events` with `Accept: text/event-stream`). Others are answered 503
    max_streams "N" 0..=65_536, 64;
    /// Bytes of a request's header. A longer one is answered 431
    header_bytes "N" 8192..=u32::MAX, 16 << 10;
    /// Fields of a request's header. A header with more is answered 431
    header_fields "N" 32..=32_768, 100;
    /// Requests at the same time on one HTTP/2 connection. The client waits before it sends another
    http2_streams "N" 1..=u32::MAX, 128;
    /// Seconds from the first byte of a header to its last, and for a TLS handshake
    header_seconds "S" 1..=u32::MAX, 10;
    /// Seconds that a connection may be idle between requests. With HTTP/2, seconds that a ping may stay unanswered
    idle_seconds "S" 1..=u32::MAX, 75;
    /// Seconds for a body to arrive, once there is memory for it. Later the answer is 408
    body_seconds "S" 1..=u32::MAX, 5;
    /// Seconds from the end of a request to its answer. Later the answer is 503. The platform waits 15 seconds in all, so the sum of this and `--body-seconds` must be less
    request_seconds "S" 1..=u32::MAX, 9;
    /// Seconds in which a client must accept a part of its answer
    write_seconds "S" 1..=u32::MAX, 10;
    /// Seconds that requests in progress may take after a stop signal
    drain_seconds "S" 0..=u32::MAX, 12;
    /// Seconds that an idle connection stays open after a stop signal or for a successor, so that a push that is on its way is still answered
    handover_seconds "S" 0..=u32::MAX, 3;
    /// MiB that must stay free on the journal's disk. With less, notifications are answered 503
    min_free_disk_mib "N" 0..=u32::MAX, 32;
    /// Instances of the component at the same time. A request waits for one. 0: as many as the cores and the reads need
    max_instances "N" 0..=4096, 0;
    /// MiB of memory of an instance
    instance_memory_mib "N" 1..=1024, 32;
}

impl Limit {
    /// Sets the limit.
    pub fn set(&self, limits: &mut Limits, value: u32) {
        (self.set)(limits, value);
    }
}

impl Limits {
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

    /// The time for requests in progress after a stop signal.
    pub fn drain_time(&self) -> Duration {
        seconds(self.drain_seconds)
    }

    pub(crate) fn body_memory_bytes(&self) -> usize {
        (self.body_memory_mib as usize) << 20
    }

    /// The time for which idle connections stay open while the host ends.
    pub fn handover_time(&self) -> Duration {
        seconds(self.handover_seconds)
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

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// Bytes of bodies that an HTTP/2 connection, or one request on it, may send
/// before they are read. RFC 9113, 6.9.2, allows no smaller window for a
/// connection.
pub(crate) const HTTP2_WINDOW_BYTES: u32 = 65_535;

/// Bytes of an answer that are buffered for an HTTP/2 client.
pub(crate) const HTTP2_SEND_BYTES: usize = 64 << 10;

/// The stack of an instance's native code. The component's own stack is in its
/// memory.
pub(crate) const WASM_STACK_BYTES: usize = 256 << 10;

/// How much of each memory, table and stack stays mapped between uses. An
/// instance whose memory grew beyond this is not used again.
pub(crate) const KEEP_RESIDENT_BYTES: usize = 256 << 10;

/// How long an instance computes before it yields its thread. The time of its
/// request ends it.
pub(crate) const TIME_SLICE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_sets_its_own_field() {
        let mut limits = Limits::DEFAULT;
        for limit in Limits::ALL {
            assert!(
                (limit.min..=limit.max).contains(&limit.default),
                "{}",
                limit.name
            );
            limit.set(&mut limits, limit.max);
        }
        assert_eq!(limits.max_instances, 4096);
        assert_eq!(limits.header_bytes, u32::MAX);
        assert!(!format!("{limits:?}").contains(": 0"), "{limits:?}");
    }
}
