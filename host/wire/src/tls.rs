//! Accepts a ClientHello whose server name is not a DNS name.
//!
//! RFC 6066, section 3 lets a server ignore a name that it does not know, but
//! rustls ends the handshake with `illegal_parameter` if a name is not a DNS
//! name, such as `receiver.example.com:443`. A receiver has one certificate for
//! all names, so the name does not matter. rustls has no option for this.
//!
//! [`MaskedStream`] stands before rustls. If it finds a server name that rustls
//! refuses, it changes the type of that extension to one that rustls does not
//! know and therefore ignores. The length stays the same. Client and server
//! must agree on a hash of the handshake, so [`provider`] hashes, and
//! [`verifier`] verifies, the ClientHello as the client sent it.
//!
//! - `client_hello`: the message, and which of its extensions is masked.
//! - `records`: the message in the records that carry it.
//! - `flight`: what of a connection's beginning may be read, masked or not.
//! - `stream`: the stream before rustls; `transcript`: the hashes behind it.

pub mod client_hello;
pub mod flight;
mod records;
mod stream;
#[cfg(test)]
mod tests;
mod transcript;

pub use self::stream::MaskedStream;
pub use self::transcript::{provider, verifier};
