//! Finds the client of a request that came through trusted proxies, by the header
//! field `X-Forwarded-For` or `Forwarded` (RFC 7239). The address is used for logs
//! and limits, and never proves the sender.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::proxies::Proxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

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

/// Returns the addresses in the order of the hops, with `None` for an address that
/// cannot be parsed.
fn hops(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        return elements(headers, &X_FORWARDED_FOR).map(address).collect();
    }
    elements(headers, &header::FORWARDED)
        .map(|element| address(forwarded_for(element)?))
        .collect()
}

/// Returns the elements of a list that may be spread over several fields.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(','))
}

/// Returns the value of `for` in an element of `Forwarded`, without quotes.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    nodes.next().map(|(_, node)| node.trim().trim_matches('"'))
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
}
