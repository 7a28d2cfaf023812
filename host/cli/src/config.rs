//! The configuration of the program.
//!
//! - `options`: the declaration of every option; `args`: the options as flags;
//!   `file`: the configuration file.
//! - `values`: what is set in these and in variables; `fault`: what is wrong
//!   with it.
//! - `parse`: the parsers of values; `sinks`: the tables `[[sink]]`.
//! - `host`: the checked configuration of a host; `acme`: that of its certificate from a CA;
//!   `amqp`: that of its AMQP channel; `platform`: that of a client of the platform; `traces`:
//!   that of traces.
//! - `manual`: the options as text.

mod acme;
mod amqp;
mod args;
mod fault;
mod file;
mod host;
mod manual;
mod options;
mod parse;
mod platform;
mod sinks;
mod traces;
mod values;

pub(crate) use self::amqp::{Amqp, amqp};
pub(crate) use self::args::{
    AdminGroup, ClientGroup, Flags, HostGroup, JournalGroup, PlatformGroup, SearchGroup, SendGroup,
    SetupGroup,
};
pub(crate) use self::fault::Faults;
pub(crate) use self::host::{HostConfig, default_cache_dir, receiver};
pub(crate) use self::manual::secrets;
pub(crate) use self::options::{
    ACME_CACHE, ACME_DOMAINS, ADMIN, AMQP_URL, CA, JOURNAL, OPERATE_TOKEN, PLATFORM_APP_ID,
    PLATFORM_QUEUE, PLATFORM_RULE_NAME, PLATFORM_SERVER_NAME, TLS_CERT, URL, file_key, how_to_set,
};
pub(crate) use self::platform::{platform, search, usable};
pub(crate) use self::sinks::keys as sink_keys;
pub(crate) use self::values::{Values, unknown_variables};
