//! The client of a request that came through trusted proxies, by the header
//! fields `X-Forwarded-For` or `Forwarded` (RFC 7239). For logs and limits, and
//! never as proof of the sender.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::proxies::Proxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the client: the last address that is not one of the proxies, because
/// anybody may have written those before it. `peer` is the other end of the
/// connection.
pub(super) fn client(
    headers: &HeaderMap,
    proxies: &Proxies,
    peer: Option<SocketAddr>,
) -> Option<SocketAddr> {
    let mut client = peer;
    let mut hops = hops(headers).into_iter().rev();
    while proxies.include(client) {
        // A proxy that hides the address, or wrote none, is all that is known.
        let Some(Some(hop)) = hops.next() else { break };
        client = Some(hop);
    }
    client
}

/// The addresses in the order of the hops; `None` for one that cannot be read.
fn hops(headers: &HeaderMap) -> Vec<Option<SocketAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        return elements(headers, &X_FORWARDED_FOR).map(address).collect();
    }
    elements(headers, &header::FORWARDED)
        .map(|element| address(forwarded_for(element)?))
        .collect()
}

/// The elements of a list, over all fields of a name.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.to_str().unwrap_or_default().split(','))
}

/// The value of `for` in an element of `Forwarded`, without quotes.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    nodes.next().map(|(_, node)| node.trim().trim_matches('"'))
}

/// An address with or without a port, which is then 0.
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
    fn the_client_is_the_last_that_is_no_proxy() {
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
