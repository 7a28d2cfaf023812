//! What a connection may say, where rustls and hyper are stricter or more
//! lenient than the receiver must be.
//!
//! | module | content |
//! |---|---|
//! | [`tls`] | accepts a ClientHello whose server name is not a DNS name |
//! | [`framing`] | follows the bytes of an HTTP/1 connection, and finds what hyper does not report |
//! | [`head`] | [`ambiguity`](head::ambiguity): why two readers could understand the head of a request differently |
//!
//! A crate of its own, because it builds without wasmtime: its tests and its
//! fuzz targets are quick.

pub mod framing;
pub mod head;
pub mod tls;
