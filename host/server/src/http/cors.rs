//! [`Origins`]: the web pages of other sites that may read the API.

use std::str::FromStr;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Uri};

/// The origins whose pages may read the API with a token. A cookie is never sent for
/// them, because no answer allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// Returns the value of `Access-Control-Allow-Origin` for a request.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        let mut listed = self.listed.iter();
        listed.any(|listed| listed == text).then(|| origin.clone())
    }

    fn is_empty(&self) -> bool {
        !self.any && self.listed.is_empty()
    }

    /// Adds the header fields of an answer to a read. `allowed` is the result of
    /// [`allowed`](Self::allowed).
    pub(super) fn mark(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if !self.is_empty() {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = allowed else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (ACCESS_CONTROL_EXPOSE_HEADERS, "etag, retry-after"),
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, if-none-match, last-event-id",
            ),
            (ACCESS_CONTROL_MAX_AGE, "600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

impl FromStr for Origins {
    type Err = String;

    /// Parses `*`, or a comma-separated list of origins.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        let mut origins = Self::default();
        for part in parts.filter(|part| !part.is_empty()) {
            if part == "*" {
                origins.any = true;
            } else {
                origins.listed.push(origin(part)?);
            }
        }
        Ok(origins)
    }
}

/// Returns an origin as a browser sends it.
fn origin(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "`{text}` is not an origin: write `https://HOST` or `https://HOST:PORT`, without a path"
        )
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let scheme = uri
        .scheme_str()
        .filter(|it| matches!(*it, "http" | "https"));
    let authority = uri.authority().filter(|it| !it.as_str().contains('@'));
    let (Some(scheme), Some(authority)) = (scheme, authority) else {
        return Err(wrong());
    };
    if uri
        .path_and_query()
        .is_some_and(|path| path.as_str() != "/")
    {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{authority}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &str, origin: &'static str) -> Option<HeaderValue> {
        let origins: Origins = origins.parse().unwrap();
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        origins.allowed(&headers)
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let both = "https://Wall.example, http://localhost:3000/";
        assert_eq!(
            allowed(both, "https://wall.example").unwrap(),
            "https://wall.example"
        );
        assert_eq!(
            allowed(both, "http://localhost:3000").unwrap(),
            "http://localhost:3000"
        );
        for other in ["http://wall.example", "https://wall.example:8443", "null"] {
            assert_eq!(allowed(both, other), None, "{other}");
            assert_eq!(allowed("", other), None, "{other}");
            assert_eq!(allowed("*", other).unwrap(), "*");
        }
        assert_eq!(
            "*".parse::<Origins>().unwrap().allowed(&HeaderMap::new()),
            None
        );
        for text in ["wall.example", "https://h/path", "ftp://h", "https://u@h"] {
            let error = text.parse::<Origins>().unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
