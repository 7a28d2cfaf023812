//! The declaration of every option: one name in three spellings, such as the
//! flag `--max-reads`, the variable `BATCHTASK_MAX_READS` and the key
//! `max_reads` of the configuration file.
//!
//! The options of the receiver are declared in `batchtask_guest::settings`, the
//! limits in `batchtask_host::limits`, all others here.

use std::path::PathBuf;

use batchtask_guest::settings::{SETTINGS, Setting};
use batchtask_host::limits::{Limit, Limits};
use batchtask_host::proxies::Proxies;

use crate::client::BaseUrl;
use crate::journal;
use crate::logging::{Format, parse_filter};
use crate::prune;

/// The prefix of every variable.
pub(crate) const PREFIX: &str = "BATCHTASK_";

/// What an option looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has one value.
    Value,
    /// It has values with a comma between them. In the file they may be a list.
    List,
    /// Like a list. Its values are never shown, so it has no flag.
    Secret,
    /// It is on or off. Its flag has no value.
    Switch,
}

impl Kind {
    /// Whether the file may have a list of values.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Secret)
    }
}

/// Which commands use an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// `serve` and `check`.
    Host,
    /// Also the commands that work on a journal.
    Journal,
    /// The commands that send requests to a receiver.
    Client,
}

/// How a running host takes over a new value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It uses the new value after SIGHUP.
    Reload,
    /// It keeps the old value until it is started again.
    Restart,
}

/// The declaration of an option.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The key in the file.
    pub(crate) name: String,
    /// What stands for the value in `--help`.
    pub(crate) value_name: &'static str,
    /// The form of its values, as a phrase that follows "must be".
    pub(crate) form: String,
    /// The value when it is not set. Empty if there is no default.
    pub(crate) default: String,
    /// What it does.
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) user: User,
    pub(crate) change: Change,
    /// The heading in `--help`.
    pub(crate) heading: &'static str,
}

impl Spec {
    fn of_setting(setting: &Setting) -> Self {
        let name = key(setting.name);
        Self {
            value_name: value_name(&name),
            form: setting.form.to_owned(),
            default: setting.default.to_owned(),
            help: setting.text,
            kind: if setting.secret {
                Kind::Secret
            } else {
                Kind::Value
            },
            user: User::Host,
            // The host reserves memory for the longest body.
            change: if name == "max_body_bytes" {
                Change::Restart
            } else {
                Change::Reload
            },
            heading: "Receiver",
            name,
        }
    }

    fn of_limit(limit: &Limit) -> Self {
        Self {
            name: limit.name.to_owned(),
            value_name: limit.unit,
            form: format!("a whole number from {} to {}", limit.min, limit.max),
            default: limit.default.to_string(),
            help: limit.help,
            kind: Kind::Value,
            user: User::Host,
            change: Change::Restart,
            heading: "Limits",
        }
    }
}

fn value_name(key: &str) -> &'static str {
    match key {
        "signature" | "unprocessable" => "MODE",
        _ => "N",
    }
}

/// An option that is declared here, with the type of its values.
pub(crate) struct Opt<T> {
    /// The key in the file.
    pub(crate) name: &'static str,
    /// Parses a value. The error says more than the form of values does, or is
    /// empty.
    pub(crate) parse: fn(&str) -> Result<T, String>,
}

macro_rules! options {
    ($($(#[doc = $help:literal])* $id:ident: $type:ty = $name:literal $value_name:literal,
        $user:ident $kind:ident $change:ident $heading:literal, $form:literal, $default:literal, $parse:expr;)*) => {
        $(pub(crate) const $id: Opt<$type> = Opt { name: $name, parse: $parse };)*

        fn own() -> Vec<Spec> {
            vec![$(Spec {
                name: $name.to_owned(),
                value_name: $value_name,
                form: $form.to_owned(),
                default: $default.to_owned(),
                help: concat!($($help,)*).trim_ascii_start(),
                kind: Kind::$kind,
                user: User::$user,
                change: Change::$change,
                heading: $heading,
            },)*]
        }
    };
}

options! {
    /// The address of the webhook. A socket that a service manager passes (`LISTEN_FDS`) is used instead
    LISTEN: String = "listen" "ADDRESS",
        Host Value Restart "Listening", "`ADDRESS:PORT`, `:PORT` for all interfaces, or `unix:PATH`", "127.0.0.1:8080", address;
    /// The address for operators: `/healthz`, `/readyz`, `/metrics`. A socket with the name `admin` that a service manager passes is used instead
    ADMIN: Option<String> = "admin" "ADDRESS",
        Host Value Restart "Listening", "`ADDRESS:PORT`, `:PORT` for all interfaces, `unix:PATH` or `off`", "127.0.0.1:9090", admin_address;
    /// The proxies in front of the webhook that speak the PROXY protocol (version 1 or 2). A connection from another address is closed
    PROXY_PROTOCOL: Option<Proxies> = "proxy_protocol" "PROXIES",
        Host List Reload "Listening", "`off`, `on` for any address, or addresses and networks with commas between them", "off", proxy_protocol;
    /// The proxies in front of the webhook whose `X-Forwarded-For` or `Forwarded` names the sender, for logs and limits
    TRUSTED_PROXIES: Option<Proxies> = "trusted_proxies" "PROXIES",
        Host List Reload "Listening", "addresses and networks with commas between them", "", |text| proxies(text).map(Some);
    /// Take the place of the process that serves this journal, if there is one, without losing a push
    TAKEOVER: bool = "takeover" "",
        Host Switch Restart "Listening", "`true` or `false`", "false", switch;
    /// The TLS certificate chain, PEM, the server's certificate first
    TLS_CERT: Option<PathBuf> = "tls_cert" "FILE",
        Host Value Restart "TLS", "a file", "", |text| path(text).map(Some);
    /// The private key of the TLS certificate, PEM
    TLS_KEY: Option<PathBuf> = "tls_key" "FILE",
        Host Value Restart "TLS", "a file", "", |text| path(text).map(Some);
    /// Require a client certificate from one of these authorities, PEM
    TLS_CLIENT_CA: Option<PathBuf> = "tls_client_ca" "FILE",
        Host Value Restart "TLS", "a file", "", |text| path(text).map(Some);
    /// The journal, in which notifications are stored. `sqlite://PATH` is the same; a path is relative to the current folder unless it begins with `/`
    JOURNAL: PathBuf = "journal" "URL",
        Journal Value Restart "Journal", "`sqlite:PATH`", "sqlite:batchtask.db", journal::parse;
    /// Days after their last new event that tasks with the status Success or Stopped are kept. 0 keeps them forever
    KEEP_DAYS: u32 = "keep_days" "DAYS",
        Host Value Restart "Journal", "0, or a whole number of days from 2 on (the platform may push notifications that are a day old)", "0", prune::days_or_forever;
    /// MiB of the quarantine. When it is full, its oldest entries are removed. Bodies over 16 KiB use half of it at most
    QUARANTINE_MIB: u32 = "quarantine_mib" "N",
        Host Value Restart "Journal", "a whole number from 0 to 4294967295", "16", whole;
    /// The component to run instead of the one that is built in
    COMPONENT: Option<PathBuf> = "component" "FILE",
        Host Value Restart "Component", "a file", "", |text| path(text).map(Some);
    /// The folder for compiled code. Without it, `batchtask` in the user's cache folder
    CACHE_DIR: Option<PathBuf> = "cache_dir" "DIR",
        Host Value Restart "Component", "a folder", "", |text| path(text).map(Some);
    /// Requests that an instance of the component serves. 1 gives every request a fresh instance
    INSTANCE_REUSE: u32 = "instance_reuse" "N",
        Host Value Restart "Component", "a whole number from 1 to 4294967295", "1000", positive;
    /// Which lines are logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,batchtask=debug`
    LOG: String = "log" "FILTER",
        Host Value Reload "Log", "a level, or a filter such as `info,batchtask=debug`", "info", log_filter;
    /// The form of a log line
    LOG_FORMAT: Format = "log_format" "FORMAT",
        Host Value Restart "Log", "`text` or `json`", "text", log_format;
    /// The URL of the receiver
    URL: BaseUrl = "url" "URL",
        Client Value Restart "Client", "an `http` or `https` URL", "http://127.0.0.1:8080", |text| text.parse().map_err(|error: &str| error.to_owned());
    /// The authorities that the receiver's certificate may come from, PEM. Without it, those of the system
    CA: Option<PathBuf> = "ca" "FILE",
        Client Value Restart "Client", "a file", "", |text| path(text).map(Some);
}

/// The declarations of all options.
pub(crate) fn specs() -> impl Iterator<Item = Spec> {
    let own = own().into_iter();
    own.chain(SETTINGS.iter().map(Spec::of_setting))
        .chain(Limits::ALL.iter().map(Spec::of_limit))
}

/// The declaration of an option.
pub(crate) fn find(name: &str) -> Option<Spec> {
    specs().find(|spec| spec.name == name)
}

/// The option whose name is most like a name that is not an option.
pub(crate) fn nearest(name: &str) -> Option<String> {
    let name = name.replace('-', "_").to_lowercase();
    let name = name.trim_start_matches("batchtask_");
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let nearest = specs().max_by(|a, b| likeness(&a.name).total_cmp(&likeness(&b.name)))?;
    (likeness(&nearest.name) > 0.8).then_some(nearest.name)
}

/// The flag of an option.
pub(crate) fn flag(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

/// The variable of an option.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// The name of the option that has this variable.
pub(crate) fn key(variable: &str) -> String {
    variable.trim_start_matches(PREFIX).to_ascii_lowercase()
}

fn address(text: &str) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return if path.is_empty() {
            Err("the path is empty".to_owned())
        } else {
            Ok(text.to_owned())
        };
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse::<u16>() {
            Ok(_) => format!("write `:{text}` or `127.0.0.1:{text}`"),
            Err(_) => "there is no port".to_owned(),
        });
    };
    let has_brackets = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !has_brackets {
        return Err("an IPv6 address needs brackets, such as `[::1]:8080`".to_owned());
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("the port is not a number from 0 to 65535".to_owned()),
    }
}

fn admin_address(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

fn proxies(text: &str) -> Result<Proxies, String> {
    text.parse()
}

fn proxy_protocol(text: &str) -> Result<Option<Proxies>, String> {
    match text {
        "off" => Ok(None),
        "on" => Ok(Some(Proxies::all())),
        text => proxies(text).map(Some),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| String::new())
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| String::new())
}

fn positive(text: &str) -> Result<u32, String> {
    match whole(text)? {
        0 => Err(String::new()),
        number => Ok(number),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    match parse_filter(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use batchtask_host::component::DEFAULT_REUSE;

    use super::*;

    #[test]
    fn every_option_has_a_name_of_its_own() {
        let names: BTreeSet<String> = specs().map(|spec| spec.name).collect();
        assert_eq!(names.len(), specs().count());
    }

    #[test]
    fn the_default_reuse_is_that_of_the_library() {
        let spec = find(INSTANCE_REUSE.name).unwrap();
        assert_eq!(spec.default, DEFAULT_REUSE.to_string());
    }

    #[test]
    fn addresses() {
        for text in [
            ":0",
            "localhost:80",
            "[::1]:8080",
            "0.0.0.0:443",
            "unix:/run/b.sock",
        ] {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        for text in ["8080", "::1:8080", "localhost:http", ":70000", "unix:", ""] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_name_has_a_suggestion() {
        assert_eq!(nearest("max_read").as_deref(), Some("max_reads"));
        assert_eq!(nearest("readtoken").as_deref(), Some("read_token"));
        assert_eq!(nearest("BATCHTASK_LOG").as_deref(), Some("log"));
        assert_eq!(nearest("frobnicate"), None);
    }
}
