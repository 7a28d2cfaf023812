//! [`Proxy`]: an HTTP proxy between the client and the platform.

use std::str::FromStr;

use http::HeaderValue;

use crate::endpoint::Origin;
use crate::error::OptionError;

/// An HTTP proxy, which is asked for a tunnel (`CONNECT`).
#[derive(Clone)]
pub struct Proxy {
    pub(crate) origin: Origin,
    pub(crate) authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Proxy").field(&self.origin.host).finish()
    }
}

impl FromStr for Proxy {
    type Err = OptionError;

    /// Parses `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`. Special
    /// characters of user and password are percent-encoded.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let fail = |reason| OptionError::new("proxy", reason);
        let rest = text.strip_prefix("http://");
        let rest = rest.ok_or_else(|| fail("it must begin with `http://`"))?;
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let origin = Origin::parse("proxy", &format!("http://{host}"))?;
        let authorization = user.map(basic).transpose();
        let authorization =
            authorization.map_err(|()| fail("its user or password is malformed"))?;
        Ok(Self {
            origin,
            authorization,
        })
    }
}

/// Returns the header for a user and password of a URL.
fn basic(user: &str) -> Result<HeaderValue, ()> {
    let user: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
    let text = format!("Basic {}", batchtask_notification::base64(&user));
    let mut value = HeaderValue::try_from(text).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_parsed_and_its_password_hidden() {
        let proxy: Proxy = "http://user:pass%40word@proxy:3128".parse().unwrap();
        assert_eq!(format!("{proxy:?}"), r#"Proxy("proxy:3128")"#);
        let authorization = proxy.authorization.unwrap();
        assert_eq!(authorization, "Basic dXNlcjpwYXNzQHdvcmQ=");
        assert!(!format!("{authorization:?}").contains("dXNl"));
        for text in [
            "proxy:3128",
            "https://proxy",
            "http://",
            "http://proxy/path",
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert_eq!(error.field, "proxy", "{text}");
        }
    }
}
