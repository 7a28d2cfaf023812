//! [`Endpoint`]: where the platform is, and how it wants requests signed.

use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::error::OptionError;
use crate::signing::Algorithm;

/// The edition of an instance. It decides the address and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Shared by all customers of a region.
    Basic,
    /// An instance of its own, with an address of its own.
    Standard,
    /// As [`Standard`](Self::Standard), on machines of its own.
    Enterprise,
}

impl Edition {
    /// Returns how requests to this edition are signed.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Basic => Algorithm::SdkHmacSha256,
            Self::Standard | Self::Enterprise => Algorithm::V11HmacSha256,
        }
    }
}

impl FromStr for Edition {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "basic" => Ok(Self::Basic),
            "standard" => Ok(Self::Standard),
            "enterprise" => Ok(Self::Enterprise),
            _ => Err(OptionError::new(
                "edition",
                "it must be `basic`, `standard` or `enterprise`",
            )),
        }
    }
}

/// The platform's address, its region, and the signature that it expects.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) origin: Origin,
    pub(crate) iam: Origin,
    pub(crate) region: String,
    pub(crate) algorithm: Algorithm,
}

impl Endpoint {
    /// Returns the endpoint of an instance.
    ///
    /// `url` is needed for the standard and the enterprise edition, because each
    /// of their instances has a name of its own, such as
    /// `https://NAME.iotda-app.cn-north-4.myhuaweicloud.com`.
    ///
    /// # Errors
    /// The region or the URL is malformed, or the URL is missing.
    pub fn new(edition: Edition, region: &str, url: Option<&str>) -> Result<Self, OptionError> {
        check_region(region)?;
        let origin = match (url, edition) {
            (Some(url), _) => Origin::parse("url", url)?,
            (None, Edition::Basic) => service("iotda", region)?,
            (None, _) => return Err(OptionError::new("url", URL_MISSING)),
        };
        Ok(Self {
            origin,
            iam: service("iam", region)?,
            region: region.to_owned(),
            algorithm: edition.algorithm(),
        })
    }

    /// Sets the URL of IAM, which issues tokens. The default is that of the region.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn with_iam(mut self, url: &str) -> Result<Self, OptionError> {
        self.iam = Origin::parse("iam_url", url)?;
        Ok(self)
    }

    /// Returns the host of the platform, with the port if it is not the default.
    pub fn host(&self) -> &str {
        &self.origin.host
    }
}

const URL_MISSING: &str = "the standard and the enterprise edition need the address of the \
    instance: copy the application access address for HTTPS from the console (Overview, Access Information)";

/// The address of a service in a region.
fn service(name: &str, region: &str) -> Result<Origin, OptionError> {
    Origin::parse(
        "region",
        &format!("https://{name}.{region}.myhuaweicloud.com"),
    )
}

fn check_region(region: &str) -> Result<(), OptionError> {
    let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    if region.is_empty() || !region.bytes().all(is_legal) {
        let reason = "it must be a region's id, such as `cn-north-4`";
        return Err(OptionError::new("region", reason));
    }
    Ok(())
}

/// The scheme and the host of a service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Origin {
    scheme: Scheme,
    authority: Authority,
    /// The value of the header `Host`: without a default port.
    pub(crate) host: String,
}

impl Origin {
    /// Parses an `http` or `https` URL without path and query.
    pub(crate) fn parse(field: &'static str, url: &str) -> Result<Self, OptionError> {
        let fail = |reason| OptionError::new(field, reason);
        let uri: Uri = url.parse().map_err(|_| fail("it is not a valid URL"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| fail(NEEDS_SCHEME))?;
        let port = if scheme == Scheme::HTTPS {
            443
        } else if scheme == Scheme::HTTP {
            80
        } else {
            return Err(fail(NEEDS_SCHEME));
        };
        let authority = parts.authority.ok_or_else(|| fail("it has no host"))?;
        let path = parts
            .path_and_query
            .map_or(String::new(), |it| it.to_string());
        if authority.as_str().contains('@') || !matches!(path.as_str(), "" | "/") {
            return Err(fail("it must not have a user name, a path or a query"));
        }
        let host = match authority.port_u16() {
            Some(given) if given != port => format!("{}:{given}", authority.host()),
            _ => authority.host().to_owned(),
        };
        // A proxy's tunnel needs the port.
        let authority = format!(
            "{}:{}",
            authority.host(),
            authority.port_u16().unwrap_or(port)
        );
        let authority = authority
            .parse()
            .map_err(|_| fail("its host is malformed"))?;
        Ok(Self {
            scheme,
            authority,
            host,
        })
    }

    /// Whether the service is reached over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Returns the URL of a target, which begins with `/`.
    pub(crate) fn uri(&self, target: &str) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
    }
}

const NEEDS_SCHEME: &str = "it must begin with `https://` or `http://`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_follows_from_edition_and_region() {
        let basic = Endpoint::new(Edition::Basic, "cn-north-4", None).unwrap();
        assert_eq!(basic.host(), "iotda.cn-north-4.myhuaweicloud.com");
        assert_eq!(basic.algorithm, Algorithm::SdkHmacSha256);
        assert_eq!(basic.iam.host, "iam.cn-north-4.myhuaweicloud.com");
        assert!(basic.origin.is_https());

        let url = "https://a1b2.iotda-app.cn-north-4.myhuaweicloud.com:443/";
        let own = Endpoint::new(Edition::Standard, "cn-north-4", Some(url)).unwrap();
        assert_eq!(own.host(), "a1b2.iotda-app.cn-north-4.myhuaweicloud.com");
        assert_eq!(own.algorithm, Algorithm::V11HmacSha256);
    }

    #[test]
    fn a_bad_option_is_named() {
        for (edition, region, url, message) in [
            (
                "basic",
                "CN North 4",
                None,
                "`region`: it must be a region's id",
            ),
            (
                "standard",
                "cn-north-4",
                None,
                "`url`: the standard and the enterprise edition need",
            ),
            (
                "basic",
                "cn-north-4",
                Some("iotda.example.com"),
                "`url`: it must begin with",
            ),
            (
                "basic",
                "cn-north-4",
                Some("ftp://example.com"),
                "`url`: it must begin with",
            ),
            (
                "basic",
                "cn-north-4",
                Some("https://a b"),
                "`url`: it is not a valid URL",
            ),
            (
                "basic",
                "cn-north-4",
                Some("https://h/v5"),
                "`url`: it must not have",
            ),
            (
                "basic",
                "cn-north-4",
                Some("https://u:p@h"),
                "`url`: it must not have",
            ),
        ] {
            let error = Endpoint::new(edition.parse().unwrap(), region, url).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
        assert!("premium".parse::<Edition>().is_err());
    }
}
