//! Connections to receivers.
//!
//! - `addresses`: which addresses are allowed.
//! - `connector`: resolves a name once, checks every address, and connects to the
//!   checked ones.
//! - `tls`: authorities and client certificates.
//! - `client`: posts to a URL; `answer`: what an answer means.

mod addresses;
mod answer;
mod client;
mod connector;
mod tls;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::answer::{excerpt, failed};
pub use self::client::HttpOptions;
pub(crate) use self::client::{
    Answer, CONNECT_TIME, Exchange, HttpClient, checked_uri, no_answer_within,
};
pub(crate) use self::connector::{Checked, Connector, Unreached, connector};
pub use self::tls::{Identity, TlsOptions};
