//! Accepts a ClientHello whose server name is not a DNS name.
//!
//! RFC 6066, section 3 allows a server to ignore an unknown server name. But if a
//! name is not a DNS name, such as `receiver.example.com:443`, rustls ends the
//! handshake with `illegal_parameter`, and it has no option to change that. A
//! receiver has one certificate for all names, so the name does not matter here.
//!
//! [`MaskedStream`] passes the bytes of the client to rustls. If it finds a server
//! name that rustls would refuse, it changes the type of that extension to an
//! unknown one, which rustls ignores. The length stays the same. Client and server
//! must agree on a hash of the handshake. So [`provider`] hashes the ClientHello as
//! the client sent it, and [`verifier`] verifies signatures over it.
//!
//! - [`client_hello`]: parses the message, and masks its server name.
//! - `records`: joins the message from the records that carry it.
//! - [`flight`]: decides which of a connection's first bytes may be read.
//! - `stream`: the stream before rustls.
//! - `transcript`: hashes and signatures behind rustls.

pub mod client_hello;
pub mod flight;
mod records;
mod stream;
#[cfg(test)]
mod tests;
mod transcript;

pub use self::stream::MaskedStream;
pub use self::transcript::{provider, verifier};
