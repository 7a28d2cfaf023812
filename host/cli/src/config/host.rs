//! The checked configuration of a host.

use std::path::PathBuf;
use std::sync::Arc;

use batchtask_guest::settings::{SETTINGS, Settings as Checked};
use batchtask_host::http::Origins;
use batchtask_host::limits::{Limit, Limits};
use batchtask_host::proxies::Proxies;
use batchtask_host::settings::Settings;
use batchtask_host::tls::TlsFiles;
use batchtask_platform::ClientOptions;
use batchtask_relay::Sink;

use super::acme::acme;
use super::amqp::{Amqp, amqp};
use super::fault::Faults;
use super::options::{
    self, ACME_DOMAINS, ADMIN, CACHE_DIR, COMPONENT, CORS_ORIGINS, INSTANCE_REUSE, JOURNAL,
    KEEP_DAYS, LISTEN, LOG, LOG_FORMAT, PLATFORM_RECONCILE, PROXY_PROTOCOL, QUARANTINE_MIB,
    READ_LISTEN, TAKEOVER, TLS_CERT, TLS_CLIENT_CA, TLS_KEY, TRUSTED_PROXIES, User,
};
use super::platform::{check_rule, platform, search};
use super::sinks::sinks;
use super::traces::traces;
use super::values::Values;
use crate::journal::Location;
use crate::logging::Logging;
use crate::reconcile;

/// The address of page and API if there is no webhook.
const READ_LISTEN_ALONE: &str = "127.0.0.1:8080";

/// The checked configuration of a host.
pub(crate) struct HostConfig {
    /// `None`: there is no webhook.
    pub(crate) listen: Option<String>,
    /// The address of page and API. `None`: that of the webhook, if it has one.
    pub(crate) read_listen: Option<String>,
    /// `None`: there is no admin listener.
    pub(crate) admin: Option<String>,
    /// The proxies that speak the PROXY protocol.
    pub(crate) proxy_protocol: Option<Proxies>,
    /// The sites whose pages may read the API.
    pub(crate) cors_origins: Origins,
    /// The proxies that name the sender in a header field.
    pub(crate) trusted_proxies: Option<Proxies>,
    pub(crate) takeover: bool,
    pub(crate) journal: Location,
    /// 0: forever.
    pub(crate) keep_days: u32,
    pub(crate) quarantine_mib: u32,
    pub(crate) tls: Option<TlsFiles>,
    /// The certificate is obtained from a CA. Then `tls` has the files that are written.
    pub(crate) acme: Option<batchtask_acme::Options>,
    pub(crate) component: Option<PathBuf>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) instance_reuse: u32,
    pub(crate) limits: Limits,
    pub(crate) logging: Logging,
    /// The AMQP channel, if its URL is set.
    pub(crate) amqp: Option<Amqp>,
    /// The client of the platform, if one of its options is set.
    pub(crate) platform: Option<ClientOptions>,
    /// The search for lost changes. `None`: it is off.
    pub(crate) reconcile: Option<reconcile::Options>,
    /// Where events are passed on to.
    pub(crate) sinks: Vec<Arc<Sink>>,
    /// The export of traces, if its URL is set.
    pub(crate) traces: Option<batchtask_traces::Options>,
    /// The settings of the receiver that are set.
    pub(crate) settings: Settings,
    /// Their values.
    pub(crate) receiver: Checked,
    /// What the configuration was made from.
    pub(crate) values: Values,
}

impl HostConfig {
    /// The address that names this host: that of the webhook, or else that of the page.
    pub(crate) fn address(&self) -> &str {
        let address = self.listen.as_ref().or(self.read_listen.as_ref());
        address.map_or("", String::as_str)
    }

    /// Checks all values.
    ///
    /// # Errors
    /// All faults.
    pub(crate) fn new(mut values: Values) -> Result<Self, Faults> {
        let listen = values.value(&LISTEN);
        let read_listen = read_listen(&mut values, listen.as_ref());
        let admin = values.value(&ADMIN);
        let proxy_protocol = values.value(&PROXY_PROTOCOL);
        let cors_origins = values.value(&CORS_ORIGINS);
        let trusted_proxies = values.value(&TRUSTED_PROXIES);
        let takeover = values.value(&TAKEOVER);
        let journal = values.value(&JOURNAL);
        let keep_days = values.value(&KEEP_DAYS);
        let quarantine_mib = values.value(&QUARANTINE_MIB);
        let acme = acme(&mut values);
        let tls = tls_files(&mut values, acme.as_ref());
        let component = values.value(&COMPONENT);
        let cache_dir = values.value(&CACHE_DIR).or_else(default_cache_dir);
        let instance_reuse = values.value(&INSTANCE_REUSE);
        let limits = limits(&mut values);
        let logging = Logging {
            filter: values.value(&LOG),
            format: values.value(&LOG_FORMAT),
        };
        let platform = values
            .has_any(User::Platform)
            .then(|| checked_platform(&mut values))
            .flatten();
        let is_on = values.value(&PLATFORM_RECONCILE) && platform.is_some();
        let reconcile = is_on.then(|| search(&mut values));
        let sinks = sinks(&mut values, cache_dir.as_deref());
        let amqp = amqp(&mut values);
        let traces = traces(&mut values);
        let (settings, receiver) = receiver(&mut values)?;
        Ok(Self {
            listen,
            read_listen,
            amqp,
            admin,
            proxy_protocol,
            cors_origins,
            trusted_proxies,
            takeover,
            journal,
            keep_days,
            quarantine_mib,
            tls,
            acme,
            component,
            cache_dir,
            instance_reuse,
            limits,
            logging,
            platform,
            reconcile,
            sinks,
            traces,
            settings,
            receiver,
            values,
        })
    }
}

/// The settings of the receiver that are set, and their values.
///
/// # Errors
/// All faults that were found in `values`.
pub(crate) fn receiver(values: &mut Values) -> Result<(Settings, Checked), Faults> {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        if let Some(text) = values.text(&options::key(setting.name)) {
            settings.set(setting.name, text);
        }
    }
    match Checked::read(|name| settings.get(name).map(String::from)) {
        Ok(checked) => {
            values.check()?;
            Ok((settings, checked))
        }
        Err(faults) => {
            // A signature does not lack its token if the token was refused.
            let has_bad_token = values.is_refused("token");
            for fault in faults {
                let name = options::key(fault.name);
                if name != "signature" || !has_bad_token {
                    values.refuse(&name, fault.problem);
                }
            }
            Err(values.faults())
        }
    }
}

/// Checks the options of the platform, also those that `serve` does not use.
fn checked_platform(values: &mut Values) -> Option<ClientOptions> {
    check_rule(values);
    platform(values)
}

/// The address of page and API. Without a webhook they have an address of their own.
fn read_listen(values: &mut Values, listen: Option<&String>) -> Option<String> {
    if values.text(READ_LISTEN.name).is_some() {
        return values.value(&READ_LISTEN);
    }
    listen.is_none().then(|| READ_LISTEN_ALONE.to_owned())
}

fn limits(values: &mut Values) -> Limits {
    let mut limits = Limits::DEFAULT;
    for limit in Limits::ALL {
        let value = values.parsed(limit.name, |text| number(limit, text));
        limit.set(&mut limits, value);
    }
    limits
}

fn number(limit: &Limit, text: &str) -> Result<u32, String> {
    let number = text.parse().map_err(|_| String::new())?;
    if (limit.min..=limit.max).contains(&number) {
        Ok(number)
    } else {
        Err(String::new())
    }
}

fn tls_files(values: &mut Values, acme: Option<&batchtask_acme::Options>) -> Option<TlsFiles> {
    let cert = values.value(&TLS_CERT);
    let key = values.value(&TLS_KEY);
    let client_ca = values.value(&TLS_CLIENT_CA);
    if values.text(ACME_DOMAINS.name).is_some() {
        for option in [TLS_CERT.name, TLS_KEY.name] {
            if values.text(option).is_some() {
                let other = values.spell(ACME_DOMAINS.name, option);
                values.refuse(
                    option,
                    format!("is set beside `{other}`: use only one of both"),
                );
            }
        }
        let path = acme?.certificate_path();
        return Some(TlsFiles {
            cert: path.clone(),
            key: path,
            client_ca,
        });
    }
    for (set, option, needed, other) in [
        (cert.is_some(), TLS_CERT.name, key.is_some(), TLS_KEY.name),
        (key.is_some(), TLS_KEY.name, cert.is_some(), TLS_CERT.name),
        (
            client_ca.is_some() && key.is_none(),
            TLS_CLIENT_CA.name,
            cert.is_some(),
            TLS_CERT.name,
        ),
    ] {
        if set && !needed {
            let other = values.spell(other, option);
            values.refuse(option, format!("needs `{other}`: set both"));
        }
    }
    Some(TlsFiles {
        cert: cert?,
        key: key?,
        client_ca,
    })
}

/// The default folder for compiled code: `$XDG_CACHE_HOME/batchtask`, or the
/// same in `~/.cache`; `None` if neither is known.
pub(crate) fn default_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(base.join("batchtask")).filter(|path| path.is_absolute())
}
