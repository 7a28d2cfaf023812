//! Obtains and renews the certificate of a receiver from a CA that speaks ACME (RFC 8555).
//!
//! A [`Manager`] keeps one certificate valid. It writes chain and key into one file,
//! [`Options::certificate_path`], which the server reads. A [`Responder`] shows the CA who
//! controls the names, on the port that serves (TLS-ALPN-01, RFC 8737), or a program sets DNS
//! records (DNS-01).
//!
//! - [`schedule`]: when to order; a state machine without input and output.
//! - `manager`: does what the schedule says; `attempt`: one order; `account`: the account
//!   at the CA; `http`: requests to the CA.
//! - `challenge` and `hook`: the two kinds of proof.
//! - `store`: what outlives a start; `folder`: its files; `seal`: encrypts what hosts share.
//! - `certificate` and `domain`: what is written in a certificate.
//! - [`Options`], [`Metrics`], [`Error`] and [`OptionError`].
//!
//! The crate does not know the receiver, so its tests against a CA are built without it.

mod account;
mod attempt;
mod certificate;
mod challenge;
mod domain;
mod error;
mod folder;
mod hook;
mod http;
mod manager;
mod metrics;
mod options;
pub mod schedule;
mod seal;
mod store;

pub use self::certificate::Certificate;
pub use self::challenge::{Challenge, Responder};
pub use self::domain::Domain;
pub use self::error::{Error, OptionError};
pub use self::hook::HOOK_TIME;
pub use self::manager::{Manager, State};
pub use self::metrics::Metrics;
pub use self::options::{DOMAINS_MAX, ExternalAccount, LETS_ENCRYPT, Options, certificate_path};
pub use self::store::Shared;
