//! Connections to receivers.
//!
//! - `addresses`: which addresses are allowed.
//! - `connector`: resolves a name once, checks every address, and connects to the
//!   checked ones.
//! - `tls`: authorities and client certificates.

mod addresses;
mod connector;
mod tls;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::connector::{Connector, Unreached, connector};
pub use self::tls::{Identity, TlsOptions};
