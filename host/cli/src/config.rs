//! The configuration of the program.
//!
//! - `options`: the declaration of every option; `args`: the options as flags;
//!   `file`: the configuration file.
//! - `values`: what is set in these and in variables; `fault`: what is wrong
//!   with it.
//! - `parse`: the parsers of values.
//! - `host`: the checked configuration of a host; `platform`: that of a client of the
//!   platform.
//! - `manual`: the options as text.

mod args;
mod fault;
mod file;
mod host;
mod manual;
mod options;
mod parse;
mod platform;
mod values;

pub(crate) use self::args::{
    ClientGroup, Flags, HostGroup, JournalGroup, PlatformGroup, SetupGroup,
};
pub(crate) use self::fault::Faults;
pub(crate) use self::host::{HostConfig, receiver};
pub(crate) use self::manual::secrets;
pub(crate) use self::options::{
    CA, JOURNAL, PLATFORM_APP_ID, PLATFORM_QUEUE, PLATFORM_RULE_NAME, PLATFORM_SERVER_NAME,
    TLS_CERT, URL, how_to_set,
};
pub(crate) use self::platform::{platform, usable};
pub(crate) use self::values::{Values, unknown_variables};
