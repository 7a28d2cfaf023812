//! The configuration of the program.
//!
//! - `options`: the declaration of every option; `args`: the options as flags;
//!   `file`: the configuration file.
//! - `values`: what is set in these and in variables; `fault`: what is wrong
//!   with it.
//! - `host`: the checked configuration of a host.
//! - `manual`: the options as text.

mod args;
mod fault;
mod file;
mod host;
mod manual;
mod options;
mod values;

pub(crate) use self::args::{ClientGroup, Flags, HostGroup, JournalGroup};
pub(crate) use self::fault::Faults;
pub(crate) use self::host::{HostConfig, receiver};
pub(crate) use self::manual::secrets;
pub(crate) use self::options::{CA, JOURNAL, URL};
pub(crate) use self::values::{Values, unknown_variables};
