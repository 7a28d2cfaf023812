//! Finds the client of a request that came through trusted proxies, by the header
//! field `X-Forwarded-For` or `Forwarded` (RFC 7239), and whether it used https, by
//! `X-Forwarded-Proto` or `Forwarded`. The address is used for logs and limits, and
//! never proves the sender.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::proxies::Proxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns the client: the last address that is not a trusted proxy. Addresses
/// before it may be forged. `peer` is the other end of the connection.
pub(super) fn client(
    headers: &HeaderMap,
    proxies: &Proxies,
    peer: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let mut client = peer;
    let mut hops = hops(headers).into_iter().rev();
    while proxies.include(client) {
        // The proxy hides the address before it or did not add one, so it counts as
        // the client.
        let Some(Some(hop)) = hops.next() else { break };
        client = Some(hop);
    }
    client
}

/// Whether the client used https, as the trusted proxy at the other end of the
/// connection says. `None` if there is no such proxy, or if it does not say so.
pub(super) fn over_https(
    headers: &HeaderMap,
    proxies: &Proxies,
    peer: Option<SocketAddr>,
) -> Option<bool> {
    if !proxies.include(peer) {
        return None;
    }
    let proto = elements(headers, &X_FORWARDED_PROTO).last();
    let standard = || pair(elements(headers, &header::FORWARDED).last()?, "proto");
    let proto = proto.map(str::trim).or_else(standard)?;
    Some(proto.eq_ignore_ascii_case("https"))
}

/// Returns the addresses in the order of the hops, with `None` for an address that
/// cannot be parsed.
fn hops(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        return elements(headers, &X_FORWARDED_FOR).map(address).collect();
    }
    elements(headers, &header::FORWARDED)
        .map(|element| address(pair(element, "for")?))
        .collect()
}

/// Returns the elements of a list that may be spread over several fields.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(','))
}

/// Returns the value with this name in an element of `Forwarded`, without quotes.
fn pair<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(found, _)| found.trim().eq_ignore_ascii_case(name));
    named
        .next()
        .map(|(_, value)| value.trim().trim_matches('"'))
}

/// Parses an address. If it has no port, the port is 0.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let with_port = text.parse().ok();
    let bare = || text.trim_start_matches('[').trim_end_matches(']');
    let found: SocketAddr =
        with_port.or_else(|| Some((bare().parse::<IpAddr>().ok()?, 0).into()))?;
    Some(SocketAddr::new(found.ip().to_canonical(), found.port()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(name: &'static str, values: &[&'static str], peer: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        let proxies = "10.0.0.0/8".parse().unwrap();
        let client = client(&headers, &proxies, peer.parse().ok());
        client.unwrap().to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_proxy() {
        let name = "x-forwarded-for";
        for (values, peer, client) in [
            (&["192.0.2.1"][..], "10.0.0.1:5", "192.0.2.1:0"),
            (&["192.0.2.1:99"], "10.0.0.1:5", "192.0.2.1:99"),
            (
                &["1.2.3.4, 192.0.2.1, 10.0.0.2"],
                "10.0.0.1:5",
                "192.0.2.1:0",
            ),
            (&["1.2.3.4", "2001:db8::1"], "10.0.0.1:5", "[2001:db8::1]:0"),
            (&["10.0.0.3"], "10.0.0.1:5", "10.0.0.3:0"),
            (&["1.2.3.4, nonsense"], "10.0.0.1:5", "10.0.0.1:5"),
            (&[""], "10.0.0.1:5", "10.0.0.1:5"),
            (&[], "10.0.0.1:5", "10.0.0.1:5"),
            (&["1.2.3.4"], "192.0.2.9:5", "192.0.2.9:5"),
        ] {
            assert_eq!(found(name, values, peer), client, "{values:?}");
        }
    }

    #[test]
    fn the_standard_field_is_read_too() {
        let name = "forwarded";
        for (values, client) in [
            (&["for=192.0.2.1;proto=https"][..], "192.0.2.1:0"),
            (
                &["proto=https; For=\"[2001:db8::1]:47\""],
                "[2001:db8::1]:47",
            ),
            (&["for=1.2.3.4, for=\"[2001:db8::1]\""], "[2001:db8::1]:0"),
            (&["for=1.2.3.4, for=unknown"], "10.0.0.1:5"),
            (&["for=1.2.3.4, for=_hidden"], "10.0.0.1:5"),
        ] {
            assert_eq!(found(name, values, "10.0.0.1:5"), client, "{values:?}");
        }
    }

    #[test]
    fn a_trusted_proxy_says_whether_the_client_used_https() {
        let x = "x-forwarded-proto";
        for (name, value, peer, expected) in [
            (x, "https", "10.0.0.1:5", Some(true)),
            (x, "http", "10.0.0.1:5", Some(false)),
            (x, "http, HTTPS", "10.0.0.1:5", Some(true)),
            (x, "https", "192.0.2.9:5", None),
            (
                "forwarded",
                "for=1.2.3.4;proto=https",
                "10.0.0.1:5",
                Some(true),
            ),
            ("forwarded", "proto=https, for=1.2.3.4", "10.0.0.1:5", None),
            ("x-other", "https", "10.0.0.1:5", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_static(value));
            let proxies = "10.0.0.0/8".parse().unwrap();
            let found = over_https(&headers, &proxies, peer.parse().ok());
            assert_eq!(found, expected, "{name}: {value} from {peer}");
        }
    }
}
