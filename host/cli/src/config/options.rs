//! The declaration of every option: one name in three spellings, such as the
//! flag `--max-reads`, the variable `BATCHTASK_MAX_READS` and the key
//! `max_reads` of the configuration file.
//!
//! The options of the receiver are declared in `batchtask_guest::settings`, the
//! limits in `batchtask_host::limits`, all others here.

use std::path::PathBuf;
use std::sync::LazyLock;

use batchtask_acme::Domain;
use batchtask_amqp::Broker;
use batchtask_guest::settings::{SETTINGS, Setting};
use batchtask_host::http::Origins;
use batchtask_host::limits::{Limit, Limits};
use batchtask_host::proxies::Proxies;
use batchtask_platform::setup::Target;
use batchtask_platform::{Edition, Proxy, Secret};

use super::parse::{
    access_codes, access_key, address_or_off, broker, contacts, domains, edition, log_filter,
    log_format, memory_mib, messages, on_or_off, origins, pairs, path, positive, proxies, proxy,
    proxy_protocol, queue, queues, ratio, rule_name, secret, switch, text, tokens, whole,
};
use crate::client::BaseUrl;
use crate::journal::{self, Location};
use crate::logging::Format;
use crate::prune;

/// The prefix of every variable.
pub(crate) const PREFIX: &str = "BATCHTASK_";

/// The tables of the file. The key `region` in the table `[platform]` is the option
/// `platform_region`.
pub(crate) const TABLES: &[&str] = &["acme", "amqp", "platform", "traces"];

/// The flags that are shorter than the names of their options.
const SHORT_FLAGS: &[(&str, &str)] = &[
    ("acme_domains", "acme"),
    ("amqp_url", "amqp"),
    ("traces_url", "traces"),
];

/// The lists of tables of the file, such as `[[sink]]`. Their keys are not options: they
/// have neither a flag nor a variable.
pub(crate) const LISTS: &[&str] = &[SINKS];

/// The list of tables of the sinks.
pub(crate) const SINKS: &str = "sink";

/// What an option looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has one value.
    Value,
    /// It has values with a comma between them. In the file they may be a list.
    List,
    /// Like a list. Its values are never shown, so it has no flag.
    Secret,
    /// It has one value, which is never shown, so it has no flag.
    Credential,
    /// It is on or off. Its flag has no value.
    Switch,
}

impl Kind {
    /// Whether the file may have a list of values.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Secret)
    }

    /// Whether its values must not be shown.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Credential)
    }
}

/// Which commands use an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// `serve` and `check`.
    Host,
    /// Also the commands that work on a journal.
    Journal,
    /// Also the commands that ask the admin listener.
    Admin,
    /// The commands that send requests to a receiver.
    Client,
    /// `serve`, `check`, and `send` if it sends over AMQP.
    Amqp,
    /// The commands that send requests to the platform.
    Platform,
}

impl User {
    /// Whether `serve` has a flag for the option.
    pub(crate) fn is_host(self) -> bool {
        matches!(self, Self::Host | Self::Journal | Self::Admin | Self::Amqp)
    }

    /// Whether `serve` uses the option.
    pub(crate) fn is_served(self) -> bool {
        self.is_host() || self == Self::Platform
    }
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
    /// The name: the key in the file, or the name of its table, `_`, and the key.
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
    /// The name.
    pub(crate) name: &'static str,
    /// Parses a value. The error says more than the form of values does, or is
    /// empty.
    pub(crate) parse: fn(&str) -> Result<T, String>,
}

/// The token of operators. It is a setting of the receiver, which the admin listener and
/// its clients use, too.
pub(crate) const OPERATE_TOKEN: Opt<Vec<String>> = Opt {
    name: "operate_token",
    parse: tokens,
};

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
    /// The address of the webhook. A socket that a service manager passes (`LISTEN_FDS`) is used instead. With `off` no notification is pushed to this host: set `amqp.url`
    LISTEN: Option<String> = "listen" "ADDRESS",
        Host Value Restart "Listening", "`ADDRESS:PORT`, `:PORT` for all interfaces, `unix:PATH` or `off`", "127.0.0.1:8080", address_or_off;
    /// The address of the page and the API, without the webhook. If it is set, `listen` serves only the webhook. Without it, `listen` serves all, and if that is `off`, this is `127.0.0.1:8080`. A socket with the name `read` that a service manager passes is used instead
    READ_LISTEN: Option<String> = "read_listen" "ADDRESS",
        Host Value Restart "Listening", "`ADDRESS:PORT`, `:PORT` for all interfaces, `unix:PATH` or `off`", "", address_or_off;
    /// The address for operators: `/healthz`, `/readyz`, `/metrics`. A socket with the name `admin` that a service manager passes is used instead
    ADMIN: Option<String> = "admin" "ADDRESS",
        Admin Value Restart "Listening", "`ADDRESS:PORT`, `:PORT` for all interfaces, `unix:PATH` or `off`", "127.0.0.1:9090", address_or_off;
    /// The proxies in front of the webhook that speak the PROXY protocol (version 1 or 2). A connection from another address is closed
    PROXY_PROTOCOL: Option<Proxies> = "proxy_protocol" "PROXIES",
        Host List Reload "Listening", "`off`, `on` for any address, or addresses and networks with commas between them", "off", proxy_protocol;
    /// The proxies in front of the webhook whose `X-Forwarded-For` or `Forwarded` names the sender, for logs and limits
    TRUSTED_PROXIES: Option<Proxies> = "trusted_proxies" "PROXIES",
        Host List Reload "Listening", "addresses and networks with commas between them", "", |text| proxies(text).map(Some);
    /// The sites whose pages may read the API with a token (CORS): origins, or `*` for all
    CORS_ORIGINS: Origins = "cors_origins" "ORIGINS",
        Host List Reload "Listening", "origins such as `https://wall.example` with commas between them, or `*`", "", origins;
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
    /// Obtain and renew the TLS certificate for these names from a CA that speaks ACME, instead of `tls_cert` and `tls_key`
    ACME_DOMAINS: Vec<Domain> = "acme_domains" "NAMES",
        Host List Restart "ACME", "1 to 100 names of hosts with commas between them", "", domains;
    /// You accept the terms of service of the CA, which its directory names
    ACME_ACCEPT_TERMS: bool = "acme_accept_terms" "",
        Host Switch Restart "ACME", "`true` or `false`", "false", switch;
    /// The folder of the account, the certificate and its key
    ACME_CACHE: Option<PathBuf> = "acme_cache" "DIR",
        Host Value Restart "ACME", "a folder", "", |text| path(text).map(Some);
    /// The directory of the CA
    ACME_DIRECTORY: String = "acme_directory" "URL",
        Host Value Restart "ACME", "an `https` URL", "https://acme-v02.api.letsencrypt.org/directory", |text| Ok(text.to_owned());
    /// Mail addresses for the CA
    ACME_CONTACTS: Vec<String> = "acme_contacts" "ADDRESSES",
        Host List Restart "ACME", "mail addresses with commas between them", "", contacts;
    /// The authorities that the certificate of the CA's own server may come from, PEM. Without it, those of the system
    ACME_CA: Option<PathBuf> = "acme_ca" "FILE",
        Host Value Restart "ACME", "a file", "", |text| path(text).map(Some);
    /// The program that sets and removes DNS records (DNS-01). Without it, the CA connects to port 443 of the names (TLS-ALPN-01)
    ACME_DNS_HOOK: Option<PathBuf> = "acme_dns_hook" "PROGRAM",
        Host Value Restart "ACME", "the absolute path of a program", "", |text| path(text).map(Some);
    /// The id of your account at the CA, if it issues only for customers
    ACME_EAB_KEY_ID: Option<String> = "acme_eab_key_id" "ID",
        Host Value Restart "ACME", "an id", "", text;
    /// The key that belongs to the id of your account at the CA
    ACME_EAB_KEY: Option<Secret> = "acme_eab_key" "KEY",
        Host Credential Restart "ACME", "a key in base64, as the CA shows it", "", secret;
    /// With it, the hosts of a journal in PostgreSQL share one certificate, which is encrypted with this secret
    ACME_SHARE_SECRET: Vec<String> = "acme_share_secret" "",
        Host Secret Restart "ACME", "16 to 256 visible ASCII characters without a comma, or two such secrets with a comma between them", "", tokens;
    /// The journal, in which notifications are stored: a file, or a PostgreSQL database that several hosts share
    JOURNAL: Location = "journal" "URL",
        Journal Value Restart "Journal", "`sqlite:PATH` or `postgres://USER@HOST/DATABASE`", "sqlite:batchtask.db", journal::parse;
    /// Days after their last new event that tasks with the status Success or Stopped are kept. 0 keeps them forever
    KEEP_DAYS: u32 = "keep_days" "DAYS",
        Host Value Restart "Journal", "0, or a whole number of days from 2 on (the platform may push notifications that are a day old)", "0", prune::days_or_forever;
    /// MiB of the quarantine. When it is full, its oldest entries are removed. Bodies over 16 KiB use half of it at most
    QUARANTINE_MIB: u32 = "quarantine_mib" "N",
        Host Value Restart "Journal", "a whole number from 0 to 4294967295", "16", whole;
    /// The AMQP broker of the platform, whose queues are received from
    AMQP_URL: Option<Broker> = "amqp_url" "URL",
        Amqp Value Restart "AMQP", "`amqps://HOST` or `amqps://HOST:PORT`", "", broker;
    /// The access key for AMQP
    AMQP_ACCESS_KEY: Option<String> = "amqp_access_key" "KEY",
        Amqp Value Reload "AMQP", "an access key", "", access_key;
    /// The access code that belongs to the access key
    AMQP_ACCESS_CODE: Vec<String> = "amqp_access_code" "",
        Amqp Secret Reload "AMQP", "an access code without a comma, or two access codes with a comma between them", "", access_codes;
    /// The id of the IoTDA instance, if the account has several
    AMQP_INSTANCE_ID: Option<String> = "amqp_instance_id" "ID",
        Amqp Value Restart "AMQP", "the id of an instance", "", access_key;
    /// The queues. `send` uses the first
    AMQP_QUEUES: Vec<String> = "amqp_queues" "QUEUES",
        Amqp List Restart "AMQP", "1 to 10 names with commas between them", "DefaultQueue", queues;
    /// The authorities that the broker's certificate may come from, PEM. Without it, those of the system
    AMQP_CA: Option<PathBuf> = "amqp_ca" "FILE",
        Amqp Value Restart "AMQP", "a file", "", |text| path(text).map(Some);
    /// AMQP messages that may be in progress, over all queues. The broker sends another one when one is stored
    AMQP_MESSAGES: u32 = "amqp_messages" "N",
        Amqp Value Restart "AMQP", "a whole number from 1 to 100000", "1024", messages;
    /// MiB that AMQP messages may take that are not stored yet. If messages are long, fewer are in progress
    AMQP_MEMORY_MIB: u32 = "amqp_memory_mib" "N",
        Amqp Value Restart "AMQP", "a whole number from 1 to 4096", "32", memory_mib;
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
    /// The collector of OpenTelemetry to which traces are exported, over OTLP/HTTP. Without a path, `/v1/traces` is added. If it is not set, traces are off
    TRACES_URL: Option<String> = "traces_url" "URL",
        Host Value Restart "Traces", "an `http` or `https` URL", "", text;
    /// Which part of the traces that begin here is recorded. If the sender of a request has a trace, it decides
    TRACES_SAMPLE: f64 = "traces_sample" "RATIO",
        Host Value Restart "Traces", "a number from 0 to 1", "0.01", ratio;
    /// Header fields that the collector needs, such as `Authorization`. Their values are percent-encoded
    TRACES_HEADERS: Vec<(String, String)> = "traces_headers" "",
        Host Secret Restart "Traces", "`NAME=VALUE`, or several with commas between them", "", pairs;
    /// The authorities that the collector's certificate may come from, PEM. Without it, those of the system
    TRACES_CA: Option<PathBuf> = "traces_ca" "FILE",
        Host Value Restart "Traces", "a file", "", |text| path(text).map(Some);
    /// The URL of the receiver
    URL: BaseUrl = "url" "URL",
        Client Value Restart "Client", "an `http` or `https` URL", "http://127.0.0.1:8080", |text| text.parse().map_err(|error: &str| error.to_owned());
    /// The authorities that the receiver's certificate may come from, PEM. Without it, those of the system. `platform setup` uploads it, and needs exactly one certificate
    CA: Option<PathBuf> = "ca" "FILE",
        Client Value Restart "Client", "a file", "", |text| path(text).map(Some);
    /// The region of the platform
    PLATFORM_REGION: Option<String> = "platform_region" "REGION",
        Platform Value Restart "Platform", "a region's id, such as `cn-north-4`", "", text;
    /// The edition of the IoTDA instance, which decides the signature of requests
    PLATFORM_EDITION: Option<Edition> = "platform_edition" "EDITION",
        Platform Value Restart "Platform", "`basic`, `standard` or `enterprise`", "basic", edition;
    /// The address of the instance's application API. Without it, that of the region, which only the basic edition has
    PLATFORM_URL: Option<String> = "platform_url" "URL",
        Platform Value Restart "Platform", "an `https` or `http` URL without a path", "", text;
    /// The address of IAM, which issues tokens for passwords. Without it, that of the region
    PLATFORM_IAM_URL: Option<String> = "platform_iam_url" "URL",
        Platform Value Restart "Platform", "an `https` or `http` URL without a path", "", text;
    /// The id of the project
    PLATFORM_PROJECT_ID: Option<String> = "platform_project_id" "ID",
        Platform Value Restart "Platform", "the id of a project, not its name", "", text;
    /// The name of the project, for a password. Without it, the region, which is the name of its main project
    PLATFORM_PROJECT_NAME: Option<String> = "platform_project_name" "NAME",
        Platform Value Restart "Platform", "the name of a project", "", text;
    /// The id of the IoTDA instance, if calls need it
    PLATFORM_INSTANCE_ID: Option<String> = "platform_instance_id" "ID",
        Platform Value Restart "Platform", "the id of an instance", "", text;
    /// The id of the access key (AK)
    PLATFORM_ACCESS_KEY: Option<String> = "platform_access_key" "ID",
        Platform Value Restart "Platform", "the id of an access key", "", text;
    /// The secret of the access key (SK)
    PLATFORM_SECRET_KEY: Option<Secret> = "platform_secret_key" "SECRET",
        Platform Credential Restart "Platform", "one secret", "", secret;
    /// The security token of a temporary access key
    PLATFORM_SECURITY_TOKEN: Option<Secret> = "platform_security_token" "TOKEN",
        Platform Credential Restart "Platform", "one token", "", secret;
    /// The IAM user, if a password is used instead of an access key
    PLATFORM_USER: Option<String> = "platform_user" "NAME",
        Platform Value Restart "Platform", "the name of a user", "", text;
    /// The account that the IAM user belongs to
    PLATFORM_DOMAIN: Option<String> = "platform_domain" "NAME",
        Platform Value Restart "Platform", "the name of an account", "", text;
    /// The password of the IAM user
    PLATFORM_PASSWORD: Option<Secret> = "platform_password" "PASSWORD",
        Platform Credential Restart "Platform", "one password", "", secret;
    /// The HTTP proxy through which the platform is reached. It is a secret, because it may contain a password
    PLATFORM_PROXY: Option<Proxy> = "platform_proxy" "URL",
        Platform Credential Restart "Platform", "`http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`", "", proxy;
    /// The authorities that the platform's certificate may come from, PEM. Without it, those of the system
    PLATFORM_CA: Option<PathBuf> = "platform_ca" "FILE",
        Platform Value Restart "Platform", "a file", "", |text| path(text).map(Some);
    /// Calls in a second, at most
    PLATFORM_CALLS_PER_SECOND: u32 = "platform_calls_per_second" "N",
        Platform Value Restart "Platform", "a whole number from 1 to 4294967295", "10", positive;
    /// Whether `serve` asks the platform for changes that no push reported
    PLATFORM_RECONCILE: bool = "platform_reconcile" "on|off",
        Platform Value Restart "Platform", "`on` or `off`", "on", on_or_off;
    /// Tasks that are not known here, and that were created or began in this time, are adopted although they have ended
    PLATFORM_ADOPT_SINCE_S: u32 = "platform_adopt_since_s" "SECONDS",
        Platform Value Restart "Platform", "a whole number of seconds", "86400", whole;
    /// An open task without an event for this time is asked for before others
    PLATFORM_SILENT_AFTER_S: u32 = "platform_silent_after_s" "SECONDS",
        Platform Value Restart "Platform", "a whole number of seconds", "900", whole;
    /// How often each open task is asked for
    PLATFORM_RECHECK_S: u32 = "platform_recheck_s" "SECONDS",
        Platform Value Restart "Platform", "a whole number of seconds from 1 on", "600", positive;
    /// How often the tasks on the platform are listed
    PLATFORM_SCAN_S: u32 = "platform_scan_s" "SECONDS",
        Platform Value Restart "Platform", "a whole number of seconds from 1 on", "3600", positive;
    /// The name of the rule that forwards notifications
    PLATFORM_RULE_NAME: String = "platform_rule_name" "NAME",
        Platform Value Restart "Platform", "1 to 256 characters", "batchtask", rule_name;
    /// The resource space of the rule and of listed tasks. Without it, all resource spaces
    PLATFORM_APP_ID: Option<String> = "platform_app_id" "ID",
        Platform Value Restart "Platform", "the id of a resource space", "", text;
    /// The server name (SNI) that the platform sends, and expects in the certificate. Only needed if a proxy in front of the receiver selects certificates by name
    PLATFORM_SERVER_NAME: Option<String> = "platform_server_name" "NAME",
        Platform Value Restart "Platform", "a host name, perhaps with `:PORT`", "", text;
    /// The AMQP queue to which the rule forwards, instead of the webhook
    PLATFORM_QUEUE: Option<Target> = "platform_queue" "NAME",
        Platform Value Restart "Platform", "8 to 128 letters, digits and `_-.:`", "", queue;
}

/// The declarations of all options.
pub(crate) fn specs() -> impl Iterator<Item = &'static Spec> {
    static SPECS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
        let settings = SETTINGS.iter().map(Spec::of_setting);
        let limits = Limits::ALL.iter().map(Spec::of_limit);
        own().into_iter().chain(settings).chain(limits).collect()
    });
    SPECS.iter()
}

/// The declaration of an option.
pub(crate) fn find(name: &str) -> Option<&'static Spec> {
    specs().find(|spec| spec.name == name)
}

/// The table of an option and its key there, if it is in a table of the file.
pub(crate) fn in_table(name: &str) -> Option<(&'static str, &str)> {
    let key = |table: &&'static str| {
        let rest = name.strip_prefix(*table)?;
        Some((*table, rest.strip_prefix('_')?))
    };
    TABLES.iter().find_map(key)
}

/// An option as the file spells it, such as `max_reads` or `platform.region`.
pub(crate) fn file_key(name: &str) -> String {
    in_table(name).map_or_else(|| name.to_owned(), |(table, key)| format!("{table}.{key}"))
}

/// The option whose name is most like a name that is not an option.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.replace('-', "_").to_lowercase();
    let name = name.trim_start_matches("batchtask_");
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let nearest = specs().max_by(|a, b| likeness(&a.name).total_cmp(&likeness(&b.name)))?;
    (likeness(&nearest.name) > 0.8).then_some(&*nearest.name)
}

/// The flag of an option.
pub(crate) fn flag(name: &str) -> String {
    format!("--{}", long_flag(name))
}

/// The flag of an option, without its hyphens.
pub(crate) fn long_flag(name: &str) -> String {
    let short = SHORT_FLAGS.iter().find(|(option, _)| *option == name);
    short.map_or_else(|| name.replace('_', "-"), |(_, flag)| (*flag).to_owned())
}

/// Says that an option is missing, and how to set it, as a phrase that follows its
/// name in the file.
pub(crate) fn how_to_set(name: &str) -> String {
    let is_secret = find(name).is_some_and(|spec| spec.kind.is_secret());
    let flag = if is_secret {
        String::new()
    } else {
        // The service has no flags for what it asks of the platform.
        let of = match in_table(name) {
            Some(("platform", _)) => " of `batchtask platform`",
            _ => "",
        };
        format!(", or by the flag `{}`{of}", flag(name))
    };
    let variable = variable(name);
    format!("is missing: set it in the file, by the variable `{variable}`{flag}")
}

/// The variable of an option.
pub(crate) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// The name of the option that has this variable.
pub(crate) fn key(variable: &str) -> String {
    variable.trim_start_matches(PREFIX).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use batchtask_acme::LETS_ENCRYPT;
    use batchtask_host::component::DEFAULT_REUSE;

    use super::*;

    #[test]
    fn every_option_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = specs().map(|spec| &*spec.name).collect();
        assert_eq!(names.len(), specs().count());
    }

    #[test]
    fn the_default_reuse_is_that_of_the_library() {
        let spec = find(INSTANCE_REUSE.name).unwrap();
        assert_eq!(spec.default, DEFAULT_REUSE.to_string());
    }

    #[test]
    fn the_default_ca_is_that_of_the_library() {
        let spec = find(ACME_DIRECTORY.name).unwrap();
        assert_eq!(spec.default, LETS_ENCRYPT);
    }

    #[test]
    fn a_misspelt_name_has_a_suggestion() {
        assert_eq!(nearest("max_read"), Some("max_reads"));
        assert_eq!(nearest("readtoken"), Some("read_token"));
        assert_eq!(nearest("BATCHTASK_LOG"), Some("log"));
        assert_eq!(nearest("frobnicate"), None);
    }
}
