//! [`Ambiguity`]: why two readers could understand the head of a request
//! differently (RFC 9112, sections 3.2, 6 and 11.2; RFC 9113, section 8.3.1).

use std::fmt;

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};

/// Why a request is refused: a proxy before the receiver could understand it
/// differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// Both `Content-Length` and `Transfer-Encoding` are present.
    TwoLengths,
    /// `Transfer-Encoding` is not exactly `chunked`.
    Coding,
    /// A line of the head ends in LF without CR.
    BareLf,
    /// The target contains a `#`: a reader may cut off the fragment or keep it.
    Fragment,
    /// The target is not a path or an `http` or `https` URL without userinfo.
    Target,
    /// `Host` is missing in HTTP/1.1, or repeated.
    HostCount,
    /// `Host` is not a host with an optional port.
    HostForm,
    /// `Host` differs from `:authority` in HTTP/2.
    HostDiffers,
}

impl Ambiguity {
    /// Returns the reason, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoLengths => "both Content-Length and Transfer-Encoding are present",
            Self::Coding => "Transfer-Encoding is not exactly `chunked`",
            Self::BareLf => "a line of the head ends in LF without CR",
            Self::Fragment => "the target contains a fragment",
            Self::Target => "the target is neither a path nor an http URL",
            Self::HostCount => "Host is missing or repeated",
            Self::HostForm => "Host is not a host with an optional port",
            Self::HostDiffers => "Host differs from :authority",
        }
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Returns why the head of a request is ambiguous, or `None` if it is not.
/// [`framing`](crate::framing) detects ambiguities of an HTTP/1 head that hyper
/// does not report.
pub fn ambiguity<B>(request: &Request<B>) -> Option<Ambiguity> {
    coding(request.headers())
        .or_else(|| target(request.method(), request.uri()))
        .or_else(|| host(request))
}

fn coding(headers: &HeaderMap) -> Option<Ambiguity> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next()?;
    let is_chunked = first.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    (!is_chunked).then_some(Ambiguity::Coding)
}

fn target(method: &Method, uri: &Uri) -> Option<Ambiguity> {
    let authority = uri.authority()?;
    let is_known_form = match uri.scheme() {
        Some(scheme) => [Scheme::HTTP, Scheme::HTTPS].contains(scheme),
        // An authority without a scheme is the form of CONNECT only.
        None => method == Method::CONNECT,
    };
    let is_valid = is_known_form && !authority.as_str().contains('@');
    (!is_valid).then_some(Ambiguity::Target)
}

fn host<B>(request: &Request<B>) -> Option<Ambiguity> {
    let version = request.version();
    let mut hosts = request.headers().get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return (version == Version::HTTP_11).then_some(Ambiguity::HostCount);
    };
    if hosts.next().is_some() {
        return Some(Ambiguity::HostCount);
    }
    let host = host.as_bytes();
    if host.iter().any(|byte| NOT_IN_HOST.contains(byte)) {
        return Some(Ambiguity::HostForm);
    }
    // In HTTP/1 the target's authority replaces `Host` (RFC 9112, section 3.2.2).
    let authority = request.uri().authority()?;
    let differs = version == Version::HTTP_2 && !is_same(host, authority, request.uri().scheme());
    differs.then_some(Ambiguity::HostDiffers)
}

/// Bytes that are not allowed in a host, and at which some readers end or split it.
const NOT_IN_HOST: &[u8] = b" \t,/\\?#@\"<>";

/// Returns whether `host` is the authority. The default port of the scheme may be
/// left out.
fn is_same(host: &[u8], authority: &Authority, scheme: Option<&Scheme>) -> bool {
    let port: &[u8] = match scheme {
        Some(scheme) if *scheme == Scheme::HTTP => b":80",
        _ => b":443",
    };
    let authority = authority.as_str().as_bytes();
    let [host, authority] = [host, authority].map(|name| name.strip_suffix(port).unwrap_or(name));
    host.eq_ignore_ascii_case(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, fields: &[(&str, &str)]) -> Option<Ambiguity> {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        ambiguity(&request.body(()).unwrap())
    }

    #[test]
    fn a_coding_is_chunked_and_nothing_else() {
        let with = |values: &[&str]| {
            let mut fields = vec![("host", "h")];
            fields.extend(values.iter().map(|value| ("transfer-encoding", *value)));
            request(Version::HTTP_11, "/", &fields)
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["Chunked"]), None);
        for values in [
            &["chunked", "chunked"][..],
            &["gzip", "chunked"],
            &["chunked, chunked"],
            &["gzip, chunked"],
            &["chunked, identity"],
            &["identity"],
            &["chunked;q=1"],
            &["chunked,"],
            &[""],
        ] {
            assert_eq!(with(values), Some(Ambiguity::Coding), "{values:?}");
        }
    }

    #[test]
    fn http_1_1_has_one_host() {
        let of = |version, hosts: &[&str]| {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            request(version, "/", &fields)
        };
        let count = Some(Ambiguity::HostCount);
        assert_eq!(of(Version::HTTP_11, &[]), count);
        assert_eq!(of(Version::HTTP_10, &[]), None);
        assert_eq!(of(Version::HTTP_2, &[]), None);
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(of(version, &["h"]), None);
            assert_eq!(of(version, &["h", "h"]), count);
        }
        for host in [
            "",
            "h:443",
            "[::1]:443",
            "receiver_1.example.com.",
            "1.2.3.4",
        ] {
            assert_eq!(of(Version::HTTP_11, &[host]), None, "{host}");
        }
        for host in [
            "a, b", "a,b", "a b", "http://a", "a/b", "u@a", "a?", "a#", "a\\b",
        ] {
            let found = of(Version::HTTP_11, &[host]);
            assert_eq!(found, Some(Ambiguity::HostForm), "{host}");
        }
    }

    #[test]
    fn a_target_is_a_path_or_an_http_url() {
        let of = |target| request(Version::HTTP_11, target, &[("host", "other")]);
        for target in ["/", "*", "/a?b", "http://h/a", "HTTPS://h:443/"] {
            assert_eq!(of(target), None, "{target}");
        }
        for target in [
            "ftp://h/",
            "ws://h/",
            "h:443",
            "http://u@h/",
            "http://u:p@h/",
        ] {
            assert_eq!(of(target), Some(Ambiguity::Target), "{target}");
        }
        let connect = Request::connect("h:443").header("host", "h:443");
        let connect = connect.version(Version::HTTP_11).body(()).unwrap();
        assert_eq!(ambiguity(&connect), None);
    }

    #[test]
    fn in_http_2_the_host_is_the_authority() {
        let of = |target, host| request(Version::HTTP_2, target, &[("host", host)]);
        for (target, host) in [
            ("https://h/", "h"),
            ("https://h/", "H:443"),
            ("https://h:443/", "h"),
            ("http://h/", "h:80"),
            ("https://h:8443/", "h:8443"),
            ("/", "h"),
        ] {
            assert_eq!(of(target, host), None, "{target} {host}");
        }
        for (target, host) in [
            ("https://h/", "other"),
            ("https://h/", "h:80"),
            ("https://h:8443/", "h"),
            ("https://h/", ""),
        ] {
            let found = of(target, host);
            assert_eq!(found, Some(Ambiguity::HostDiffers), "{target} {host}");
        }
    }
}
