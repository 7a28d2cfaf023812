//! Exports traces to a collector of OpenTelemetry: OTLP over HTTP, in the binary form of
//! Protocol Buffers.
//!
//! | module | content |
//! |---|---|
//! | `options` | [`Options`]: where traces are exported to, and how many |
//! | `queue` | the spans that wait, and the decision which traces are recorded |
//! | `export` | [`Export`]: sends what waits, until it is finished |
//! | `collector` | posts to the collector, and reads its answer |
//! | `otlp` | spans as a message |
//! | `metrics` | [`Metrics`]: what became of spans |
//!
//! Nothing waits for the collector. Spans wait in a bounded queue, and are dropped and counted
//! if it is full. `opentelemetry-otlp` would bring eleven crates for what `otlp` does in a
//! page, and its interface changes with each version.

mod collector;
mod export;
mod metrics;
mod options;
mod otlp;
mod queue;

pub use self::export::Export;
pub use self::metrics::Metrics;
pub use self::options::{OptionError, Options};
