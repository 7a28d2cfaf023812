//! [`Url`]: the parts of a `postgres://` URL.

use percent_encoding::percent_decode_str;

use super::ConfigError;

/// The parts of a URL, decoded, by the name of the parameter of libpq.
pub(super) struct Url(Vec<(String, String)>);

impl Url {
    /// Splits `postgres://user:password@host:port,host:port/database?name=value`.
    /// Every part is optional.
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| ConfigError::new("the URL", "it must begin with `postgres://`"))?;
        check_credentials(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // A password may contain an `@` that is not encoded.
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let mut parts = Self(Vec::new());
        parts.add("user", user)?;
        parts.add("password", password.unwrap_or(""))?;
        parts.add_hosts(hosts)?;
        parts.add("dbname", database)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| ConfigError::new(format!("`{pair}`"), "it has no `=`"))?;
            parts.add(&decoded("the query", name)?, value)?;
        }
        Ok(parts)
    }

    /// Returns the value of a parameter. The last one counts.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut parts = self.0.iter().rev();
        let found = parts.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the names of all parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        if !value.is_empty() {
            self.0.push((name.to_owned(), decoded(name, value)?));
        }
        Ok(())
    }

    /// Adds the hosts and ports as two lists of the same length.
    fn add_hosts(&mut self, hosts: &str) -> Result<(), ConfigError> {
        if hosts.is_empty() {
            return Ok(());
        }
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = split_host(host)?;
            names.push(decoded("host", name)?);
            ports.push(port);
        }
        self.0.push(("host".into(), names.join(",")));
        if ports.iter().any(|port| !port.is_empty()) {
            self.0.push(("port".into(), ports.join(",")));
        }
        Ok(())
    }
}

/// Refuses a URL whose password seems to contain a `/` or `?` that is not encoded.
/// Its parts would be taken for a host or a parameter, and be shown.
fn check_credentials(rest: &str) -> Result<(), ConfigError> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    if rest[end..].contains('@') {
        let reason = "there is an `@` after the hosts: in a user or password, write `/` as `%2F` \
                      and `?` as `%3F`; elsewhere, write `@` as `%40`";
        return Err(ConfigError::new("the URL", reason));
    }
    Ok(())
}

/// Splits a host from its port. An IPv6 address is in brackets.
fn split_host(host: &str) -> Result<(&str, &str), ConfigError> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest
            .split_once(']')
            .ok_or_else(|| ConfigError::new("host", "a `[` has no `]`"))?;
        return Ok((address, rest.strip_prefix(':').unwrap_or(rest)));
    }
    Ok(host.split_once(':').unwrap_or((host, "")))
}

fn decoded(name: &str, value: &str) -> Result<String, ConfigError> {
    let text = percent_decode_str(value).decode_utf8();
    // The value may be a password.
    let text = text.map_err(|_| ConfigError::new(format!("`{name}`"), "it is not UTF-8"))?;
    if text.contains('\0') {
        return Err(ConfigError::new(format!("`{name}`"), "it contains a NUL"));
    }
    Ok(text.into_owned())
}
