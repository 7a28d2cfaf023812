//! Events are passed on to sinks: at least once and in order, whatever happens to the
//! host.
//!
//! - `kills`: the host is killed under load; with PostgreSQL, its owner changes.
//! - `operations`: configuration, reload, and `batchtask sinks`.
//! - `outage`: a sink is down for a long time.
//! - `chats`, `mails`: digests and alerts for people.
//! - `components`: components of operators.
//! - `example`: the receiver in `examples/`.

#[allow(dead_code, reason = "the crate's own tests use the rest")]
#[path = "../host/relay/tests/receiver.rs"]
pub(crate) mod receiver;

#[path = "../host/relay/tests/services.rs"]
#[allow(dead_code, reason = "the crate's own tests use the rest")]
mod services;

mod chats;
mod components;
mod example;
mod kills;
mod mails;
mod operations;
mod outage;

use std::fs;
use std::path::Path;

use crate::support::host::{QUIET, Setup};

/// The token of operators.
pub(crate) const OPERATE_TOKEN: &str = "operateTokenOfTheTests0123456789";

/// The secrets of a sink.
const SECRETS: [&str; 2] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_c2Vjb25kLXNlY3JldC1vZi10aGUtdGVzdHM=",
];

/// Writes a configuration file with these sinks.
pub(crate) fn write(folder: &Path, sinks: &str) {
    let text = format!("operate_token = '{OPERATE_TOKEN}'\n{sinks}");
    fs::write(folder.join("batchtask.toml"), text).unwrap();
}

/// A sink that posts to `url` from the first event on.
pub(crate) fn sink(name: &str, url: &str) -> String {
    format!("[[sink]]\nname = '{name}'\nurl = '{url}'\nstart = 'beginning'\nretries = ['0s']\n")
}

/// A host with the configuration file of a folder.
fn setup(folder: &Path) -> Setup {
    Setup::in_folder(folder)
        .variable(QUIET)
        .with_admin()
        .argument("--config")
        .argument(folder.join("batchtask.toml"))
}
