//! A head that is not ambiguous has at most one host and one transfer coding, and over
//! HTTP/2 its `Host` is the authority.
#![no_main]

use batchtask_wire::head::ambiguity;
use http::uri::{Authority, Scheme};
use http::{Request, Uri, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let version = match lines.next() {
        Some("0") => Version::HTTP_10,
        Some("1") => Version::HTTP_11,
        _ => Version::HTTP_2,
    };
    let mut request = Request::builder().version(version);
    request = request.uri(lines.next().unwrap_or_default());
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or(("host", line));
        request = request.header(name, value);
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    if ambiguity(&request).is_some() {
        return;
    }
    let count = |name| request.headers().get_all(name).iter().count();
    assert!(count("host") <= 1 && count("transfer-encoding") <= 1);
    assert!(version != Version::HTTP_11 || count("host") == 1);
    let scheme = request.uri().scheme();
    assert!(scheme.is_none_or(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme)));
    let host = request
        .headers()
        .get("host")
        .and_then(|host| host.to_str().ok());
    if let (Some(host), Some(authority), Version::HTTP_2) =
        (host, request.uri().authority(), version)
    {
        let host: Authority = host.parse().unwrap();
        assert_eq!(place(&host, request.uri()), place(authority, request.uri()));
    }
});

/// Returns a host in lower case, and its port.
fn place(authority: &Authority, uri: &Uri) -> (String, String) {
    let port = if uri.scheme() == Some(&Scheme::HTTP) {
        "80"
    } else {
        "443"
    };
    let explicit = authority.port().map(|port| port.as_str().to_owned());
    (
        authority.host().to_ascii_lowercase(),
        explicit.unwrap_or(port.into()),
    )
}
