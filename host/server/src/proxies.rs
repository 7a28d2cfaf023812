//! Trusted proxies: the host believes the client address that they report.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The networks of trusted proxies. A connection over a Unix socket comes from
/// this machine, so it is always trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Trusts all peers.
    pub fn all() -> Self {
        let all4 = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
        let all6 = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0);
        Self(vec![all4.into(), all6.into()])
    }

    /// Whether the peer of a connection is a trusted proxy.
    pub fn include(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_none_or(|peer| self.0.iter().any(|network| network.contains(&peer.ip())))
    }
}

impl FromStr for Proxies {
    type Err = String;

    /// Parses a comma-separated list of addresses and networks.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        format!("`{text}` is neither an IP address nor a network such as `10.0.0.0/8`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let proxies: Proxies = "10.1.0.0/16, 192.0.2.7,2001:db8::/32".parse().unwrap();
        for inside in ["10.1.255.1:5", "192.0.2.7:1", "[2001:db8:1::1]:9"] {
            assert!(proxies.include(peer(inside)), "{inside}");
            assert!(Proxies::all().include(peer(inside)), "{inside}");
        }
        for outside in ["10.2.0.1:5", "192.0.2.8:1", "[2001:db9::1]:9"] {
            assert!(!proxies.include(peer(outside)), "{outside}");
        }
        assert!(proxies.include(None));
        for wrong in ["", "10.1.0.0/33", "proxy.example.com", "10.0.0.1,"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
    }
}
