//! [`Config`]: where the database is, and how to connect to it.
//!
//! - `url`: splits a URL into its parts.
//! - `values`: makes a configuration from the values of all parameters.
//! - `password_file`: looks a password up in the file that `PGPASSFILE` names.

mod password_file;
mod url;
mod values;

use std::fmt;
use std::path::PathBuf;

use self::url::Url;
use self::values::Values;

/// The schema of the tables, unless the URL has another.
pub(crate) const DEFAULT_SCHEMA: &str = "batchtask";
/// The port of PostgreSQL.
const DEFAULT_PORT: u16 = 5432;
/// The environment variable of each parameter that has one.
const VARIABLES: [(&str, &str); 12] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];
/// The parameters that have no environment variable here.
const OTHER_PARAMETERS: [&str; 6] = [
    "options",
    "channel_binding",
    "sslcert",
    "sslkey",
    "schema",
    "tcp_user_timeout",
];

/// Why a URL or an environment variable cannot be used. The text never contains a
/// password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct ConfigError {
    /// The part of the URL, or the environment variable.
    pub name: String,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

impl ConfigError {
    fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            reason: reason.into(),
        }
    }
}

/// Where the database is, and how to connect to it. `Debug` and `Display` show no
/// password.
#[derive(Clone)]
pub struct Config {
    pub(crate) postgres: tokio_postgres::Config,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) schema: String,
    password_in_url: bool,
    display: String,
}

/// The files for TLS, which always verifies the server's certificate and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// The trusted authorities. `None` for those of the system.
    pub(crate) root_cert: Option<PathBuf>,
    /// The certificate and the key of this client.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// Parses `postgres://user@host,host:port/database?parameter=value`. The
    /// variables of libpq, such as `PGPASSWORD`, provide what the URL lacks. Does
    /// not connect.
    ///
    /// # Errors
    /// [`ConfigError`], also for a parameter that is unknown.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        Self::parse(url, |name| std::env::var(name).ok())
    }

    /// Like [`from_url`](Self::from_url), with other environment variables.
    ///
    /// # Errors
    /// See [`from_url`](Self::from_url).
    pub fn parse(
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let url = Url::parse(url)?;
        let known = |name: &str| {
            VARIABLES.iter().any(|(known, _)| *known == name) || OTHER_PARAMETERS.contains(&name)
        };
        if let Some(name) = url.names().find(|name| !known(name)) {
            return Err(ConfigError::new(format!("`{name}`"), "unknown parameter"));
        }
        let password_in_url = url.value("password").is_some();
        Values {
            url,
            variable: &variable,
        }
        .config(password_in_url)
    }

    /// Returns whether the URL contains a password. Other users of the machine
    /// can see the command line of a program, so a password belongs in
    /// `PGPASSWORD` or in the file that `PGPASSFILE` names.
    pub fn has_password_in_url(&self) -> bool {
        self.password_in_url
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.display)
            .field("tls", &self.tls)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
