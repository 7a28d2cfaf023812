//! Spans of traces: what the parts of a host report of a request on its way. Nothing here
//! exports them: a [`Recorder`] does, such as that of `batchtask-traces`. An embedder
//! can have its own.
//!
//! | module | content |
//! |---|---|
//! | `context` | [`Context`]: the place of a span in a trace, as W3C Trace Context passes it on |
//! | `span` | [`Span`], a finished one, and [`OpenSpan`], which records itself when it is dropped |
//! | `tracer` | [`Tracer`]: begins traces, or does nothing if traces are off |
//! | `origins` | remembers which trace an event came with, until it is passed on |
//!
//! If traces are off, or a request is not sampled, there is no span at all: no attribute is
//! built for it, and no memory is allocated.

mod context;
mod origins;
mod span;
mod tracer;

pub use self::context::{Context, TRACEPARENT, TRACESTATE};
pub use self::span::{Kind, OpenSpan, Span, Value};
pub use self::tracer::{Recorder, Tracer};
