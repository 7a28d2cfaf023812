//! The proxy of the environment, as curl reads it.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use batchtask_host::proxies::Proxies;
use batchtask_platform::Proxy;

/// Returns the proxy for a host, or `None` for a direct connection. `variable` returns
/// the value of a variable.
///
/// A proxy is asked for a tunnel, also for `http`. As in curl, `HTTP_PROXY` is not read,
/// because a web server sets it to a header field of a client. Unlike curl, a loopback
/// address never needs a proxy.
///
/// # Errors
/// The value of the variable is no proxy.
pub(super) fn proxy_for(
    host: &str,
    is_https: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Proxy>> {
    let names: &[&str] = if is_https {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    let set = |names: &[&str]| {
        let mut names = names.iter();
        names.find_map(|name| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some(((*name).to_owned(), value))
        })
    };
    let Some((name, url)) = set(names) else {
        return Ok(None);
    };
    let exceptions = set(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value);
    if is_exempt(host, exceptions.as_deref().unwrap_or("")) {
        return Ok(None);
    }
    let url = if url.contains("://") {
        url
    } else {
        format!("http://{url}")
    };
    let proxy = url.trim_end_matches('/').parse();
    let proxy = proxy.with_context(|| format!("{name} is not a usable proxy"))?;
    Ok(Some(proxy))
}

/// Whether a host is reached without a proxy: it is this machine, or listed in
/// `NO_PROXY`.
fn is_exempt(host: &str, exceptions: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    exceptions
        .split([',', ' '])
        .filter(|exception| !exception.is_empty())
        .any(|exception| match address {
            _ if exception == "*" => true,
            Some(address) => includes(exception, address),
            None => is_in_domain(&host, exception),
        })
}

fn includes(exception: &str, address: IpAddr) -> bool {
    let exception = exception.trim_start_matches('[').trim_end_matches(']');
    let networks = exception.parse::<Proxies>();
    networks.is_ok_and(|networks| networks.include(Some(SocketAddr::new(address, 0))))
}

/// Whether a host is a domain or in it. A leading dot changes nothing.
fn is_in_domain(host: &str, domain: &str) -> bool {
    let domain = domain.trim_matches('.').to_ascii_lowercase();
    host.strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(host: &str, is_https: bool, set: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let proxy = proxy_for(host, is_https, variable).expect("valid");
        proxy.map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_variable_depends_on_the_scheme() {
        let of = |name: &str| Some(format!("Proxy(\"{name}:1\")"));
        for (is_https, set, expected) in [
            (true, &[("HTTPS_PROXY", "http://a:1")][..], of("a")),
            (
                true,
                &[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:1/")],
                of("b"),
            ),
            (true, &[("https_proxy", ""), ("ALL_PROXY", "c:1")], of("c")),
            (true, &[("http_proxy", "a:1")], None),
            (false, &[("http_proxy", "a:1")], of("a")),
            (
                false,
                &[("HTTP_PROXY", "a:1"), ("HTTPS_PROXY", "b:1")],
                None,
            ),
            (false, &[], None),
        ] {
            assert_eq!(proxy("example.com", is_https, set), expected, "{set:?}");
        }
        let socks = |_: &str| Some("socks5://a:1".to_owned());
        let error = proxy_for("example.com", true, socks).expect_err("refused");
        assert!(format!("{error:#}").contains("https_proxy"), "{error:#}");
    }

    #[test]
    fn exceptions_are_domains_and_networks() {
        for (host, exceptions, is_exempt) in [
            ("example.com", "", false),
            ("example.com", "*", true),
            ("example.com", "other, example.com", true),
            ("a.example.com", "example.com", true),
            ("a.example.com.", ".EXAMPLE.com", true),
            ("badexample.com", "example.com", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8,11.1.2.4", false),
            ("[2001:db8::1]", "2001:db8::/32", true),
            ("localhost", "", true),
            ("127.0.0.1", "", true),
            ("[::1]", "", true),
        ] {
            let set = [("https_proxy", "p:1"), ("no_proxy", exceptions)];
            let found = proxy(host, true, &set).is_none();
            assert_eq!(found, is_exempt, "{host} {exceptions}");
        }
    }
}
