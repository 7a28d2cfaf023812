//! [`Values`]: the values of all parameters, and the configuration that they make.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};

use super::url::Url;
use super::{
    Config, ConfigError, DEFAULT_PORT, DEFAULT_SCHEMA, TlsFiles, VARIABLES, password_file,
};

/// The name that the server shows for the connections.
const APPLICATION_NAME: &str = "batchtask";
/// How long a broken connection may stay unnoticed.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);

/// The values of all parameters: those of the URL, then those of the environment.
pub(super) struct Values<'a> {
    pub(super) url: Url,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Values<'_> {
    /// Makes the configuration.
    pub(super) fn config(&self, password_in_url: bool) -> Result<Config, ConfigError> {
        let mut postgres = tokio_postgres::Config::new();
        let user = self.value("user");
        let database = self.value("dbname").or_else(|| user.clone());
        postgres.application_name(
            self.value("application_name")
                .unwrap_or_else(|| APPLICATION_NAME.into()),
        );
        postgres.tcp_user_timeout(TCP_USER_TIMEOUT);
        if let Some(user) = &user {
            postgres.user(user);
        }
        if let Some(database) = &database {
            postgres.dbname(database);
        }
        if let Some(options) = self.value("options") {
            postgres.options(options);
        }
        let places = self.places(&mut postgres)?;
        self.set_timeouts(&mut postgres)?;
        self.set_session(&mut postgres)?;
        self.set_password(&mut postgres, database.as_deref())?;
        let tls = self.tls(&postgres)?;
        postgres.ssl_mode(match tls {
            Some(_) => SslMode::Require,
            None => SslMode::Disable,
        });
        let user = user.map_or_else(String::new, |user| format!("{user}@"));
        let database = database.unwrap_or_default();
        Ok(Config {
            postgres,
            tls,
            schema: self.schema()?,
            password_in_url,
            display: format!("postgres://{user}{}/{database}", places.join(",")),
        })
    }

    fn value(&self, name: &str) -> Option<String> {
        if let Some(value) = self.url.value(name) {
            return Some(value.to_owned());
        }
        let (_, variable) = VARIABLES.iter().find(|(known, _)| *known == name)?;
        (self.variable)(variable).filter(|value| !value.is_empty())
    }

    /// Returns how an error names a parameter: as its variable if the value is
    /// from there.
    fn name(&self, parameter: &str) -> String {
        let variable = VARIABLES.iter().find(|(known, _)| *known == parameter);
        match variable {
            Some((_, variable)) if self.url.value(parameter).is_none() => format!("`{variable}`"),
            _ => format!("`{parameter}`"),
        }
    }

    fn invalid(&self, parameter: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::new(self.name(parameter), reason)
    }

    fn number(&self, parameter: &str) -> Result<Option<u64>, ConfigError> {
        let Some(text) = self.value(parameter) else {
            return Ok(None);
        };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| self.invalid(parameter, format!("`{text}` is not a number of seconds")))
    }

    /// Sets the hosts and ports, and returns how messages name them.
    fn places(&self, postgres: &mut tokio_postgres::Config) -> Result<Vec<String>, ConfigError> {
        let hosts = self.value("host").unwrap_or_else(|| "localhost".into());
        let hosts: Vec<&str> = hosts.split(',').collect();
        let ports = self
            .value("port")
            .unwrap_or_else(|| DEFAULT_PORT.to_string());
        let ports: Vec<&str> = ports.split(',').collect();
        if ports.len() > 1 && ports.len() != hosts.len() {
            let reason = format!("there are {} ports for {} hosts", ports.len(), hosts.len());
            return Err(self.invalid("port", reason));
        }
        let mut places = Vec::new();
        for (place, host) in hosts.iter().enumerate() {
            let text = ports.get(place).or(ports.first()).copied().unwrap_or("");
            let port = match text {
                "" => DEFAULT_PORT,
                text => text
                    .parse()
                    .map_err(|_| self.invalid("port", format!("`{text}` is not a port")))?,
            };
            let host = if host.is_empty() { "localhost" } else { host };
            postgres.host(host).port(port);
            places.push(if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            });
        }
        self.set_addresses(postgres, hosts.len())?;
        Ok(places)
    }

    fn set_addresses(
        &self,
        postgres: &mut tokio_postgres::Config,
        hosts: usize,
    ) -> Result<(), ConfigError> {
        let Some(addresses) = self.value("hostaddr") else {
            return Ok(());
        };
        let addresses: Vec<&str> = addresses.split(',').collect();
        if addresses.len() != hosts {
            let found = addresses.len();
            let reason = format!("there are {found} addresses for {hosts} hosts");
            return Err(self.invalid("hostaddr", reason));
        }
        for text in addresses {
            let invalid = |_| self.invalid("hostaddr", format!("`{text}` is not an IP address"));
            postgres.hostaddr(text.parse().map_err(invalid)?);
        }
        Ok(())
    }

    fn set_timeouts(&self, postgres: &mut tokio_postgres::Config) -> Result<(), ConfigError> {
        if let Some(seconds) = self.number("connect_timeout")?
            && seconds > 0
        {
            postgres.connect_timeout(Duration::from_secs(seconds));
        }
        // In milliseconds, as in libpq.
        if let Some(ms) = self.number("tcp_user_timeout")?
            && ms > 0
        {
            postgres.tcp_user_timeout(Duration::from_millis(ms));
        }
        Ok(())
    }

    fn set_session(&self, postgres: &mut tokio_postgres::Config) -> Result<(), ConfigError> {
        match self.value("target_session_attrs").as_deref() {
            // A journal is written, so another server is of no use.
            None | Some("read-write" | "primary" | "any") => {}
            Some(other) => {
                let reason = format!("`{other}` is not possible: a journal needs `read-write`");
                return Err(self.invalid("target_session_attrs", reason));
            }
        }
        postgres.target_session_attrs(TargetSessionAttrs::ReadWrite);
        postgres.channel_binding(match self.value("channel_binding").as_deref() {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("require") => ChannelBinding::Require,
            Some("disable") => ChannelBinding::Disable,
            Some(_) => {
                let reason = "must be `prefer`, `require` or `disable`";
                return Err(self.invalid("channel_binding", reason));
            }
        });
        Ok(())
    }

    fn set_password(
        &self,
        postgres: &mut tokio_postgres::Config,
        database: Option<&str>,
    ) -> Result<(), ConfigError> {
        if let Some(password) = self.value("password") {
            postgres.password(password);
        } else if let Some(path) = self.value("passfile") {
            let found = password_file::find(path.as_ref(), postgres, database)
                .map_err(|reason| self.invalid("passfile", reason))?;
            if let Some(password) = found {
                postgres.password(password);
            }
        }
        Ok(())
    }

    /// Returns the files for TLS, or `None` without TLS. The default is TLS,
    /// except to this machine.
    fn tls(&self, postgres: &tokio_postgres::Config) -> Result<Option<TlsFiles>, ConfigError> {
        let is_local = postgres.get_hosts().iter().all(is_local);
        let mode = self.value("sslmode");
        match mode.as_deref() {
            Some("disable") => return Ok(None),
            None if is_local && self.value("sslrootcert").is_none() => return Ok(None),
            None | Some("require" | "verify-ca" | "verify-full") => {}
            Some(mode @ ("allow" | "prefer")) => {
                let reason = format!(
                    "`{mode}` does not protect the connection: use `verify-full`, or `disable` \
                     on a trusted network"
                );
                return Err(self.invalid("sslmode", reason));
            }
            Some(mode) => {
                let reason = format!("`{mode}` is unknown: use `verify-full` or `disable`");
                return Err(self.invalid("sslmode", reason));
            }
        }
        if postgres
            .get_hosts()
            .iter()
            .any(|host| matches!(host, Host::Unix(_)))
        {
            let reason = "TLS is not possible over a Unix socket: use `disable`";
            return Err(self.invalid("sslmode", reason));
        }
        let root_cert = self.value("sslrootcert").filter(|path| path != "system");
        let client = match (self.value("sslcert"), self.value("sslkey")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            _ => return Err(self.invalid("sslcert", "`sslcert` and `sslkey` belong together")),
        };
        Ok(Some(TlsFiles {
            root_cert: root_cert.map(PathBuf::from),
            client,
        }))
    }

    fn schema(&self) -> Result<String, ConfigError> {
        let schema = self
            .value("schema")
            .unwrap_or_else(|| DEFAULT_SCHEMA.into());
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins_well = schema.starts_with(|first: char| !first.is_ascii_digit());
        if begins_well && schema.len() <= 40 && schema.bytes().all(is_plain) {
            return Ok(schema);
        }
        let reason = "must be up to 40 of `a-z 0-9 _`, and must not begin with a digit";
        Err(self.invalid("schema", reason))
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(host) => {
            let address = host.parse::<std::net::IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    }
}
