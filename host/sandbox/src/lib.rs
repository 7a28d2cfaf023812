//! Runs a sink component of an operator: a component with the world `sink` of `wit/`.
//!
//! The component can do nothing but compute, write lines for the log, and send
//! HTTP requests to the origins that the operator allowed. Its memory, its
//! time, its computing, its requests and their lengths are limited. It runs on a thread of
//! its own, so that it does not delay other parts of the host, and each message gets a
//! fresh instance.
//!
//! | module | content |
//! |---|---|
//! | `sandbox` | [`Sandbox`]: a component that can be called |
//! | `options` | [`Options`], and [`Origin`]: where requests may be sent |
//! | `engine` | Wasmtime, and the clock that interrupts a component |
//! | `imports` | what an instance can use, and its limits |
//! | `outgoing` | the requests of an instance; [`Client`]: what sends them |
//! | `output` | what an instance writes to its standard output |

mod bindings;
mod engine;
mod imports;
mod options;
mod outgoing;
mod output;
mod sandbox;

pub use self::options::{Options, Origin, OriginError};
pub use self::outgoing::Client;
pub use self::sandbox::{BuildError, Failure, Sandbox};

/// A message for a component: `delivery.message` of `wit/`.
pub use self::bindings::exports::batchtask::receiver::delivery::Message;
