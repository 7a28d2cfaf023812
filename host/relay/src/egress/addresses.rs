//! [`Addresses`]: which addresses a request may be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of metadata services that are not link-local.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Which addresses a request may be sent to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Addresses {
    /// Also to private and loopback addresses. A URL of the operator may lead there, because
    /// many receivers have such an address.
    pub(crate) private: bool,
    /// Also to link-local addresses and to those of metadata services, which give
    /// credentials to everyone who asks.
    pub(crate) link_local: bool,
}

impl Addresses {
    /// Returns why an address is refused.
    pub(crate) fn refusal(self, address: IpAddr) -> Option<&'static str> {
        let addresses = [Some(address), embedded(address).map(IpAddr::V4)];
        let mut addresses = addresses.into_iter().flatten();
        addresses.find_map(|address| self.refusal_of_one(address))
    }

    fn refusal_of_one(self, address: IpAddr) -> Option<&'static str> {
        let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
        if address.is_unspecified() || address.is_multicast() || is_broadcast {
            return Some("it does not name one machine");
        }
        let is_link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        if !self.link_local && (is_link_local || METADATA.contains(&address)) {
            return Some("it is link-local or that of a metadata service");
        }
        if !self.private && !is_link_local && is_private(address) {
            return Some("it is private");
        }
        None
    }
}

/// Whether an address cannot be reached over the internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            address.is_loopback()
                || address.is_private()
                // Shared by the customers of a provider (RFC 6598), of protocols (RFC 6890),
                // and for benchmarks (RFC 2544).
                || (first == 100 && (64..128).contains(&second))
                || (first, second, third) == (192, 0, 0)
                || (first == 198 && (18..20).contains(&second))
                || first == 0
                || first >= 240
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            // Site-local addresses (RFC 3879) are no longer assigned, but may still work.
            address.is_loopback() || address.is_unique_local() || first & 0xffc0 == 0xfec0
        }
    }
}

/// Returns the IPv4 address inside an IPv6 address: mapped (`::ffff:0:0/96`),
/// compatible (`::/96`), NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`) or 6to4 (`2002::/16`).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let at = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(at(high, low)),
        [0x64, 0xff9b, 0 | 1, .., high, low] => Some(at(high, low)),
        [0x2002, high, low, ..] => Some(at(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(address: &str, link_local: bool) -> bool {
        let address = address.parse().unwrap();
        let private = true;
        let addresses = Addresses {
            private,
            link_local,
        };
        addresses.refusal(address).is_some()
    }

    #[test]
    fn a_component_may_not_reach_private_addresses() {
        let addresses = Addresses {
            private: false,
            link_local: false,
        };
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.19.0.1",
            "240.0.0.1",
            "169.254.0.1",
            "::1",
            "fd12::1",
            "fec0::1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::192.168.0.1",
            "2002:7f00:1::1",
        ] {
            let refusal = addresses.refusal(address.parse().unwrap());
            assert!(refusal.is_some(), "{address}");
        }
        for address in ["203.0.113.9", "8.8.8.8", "172.32.0.1", "2001:4860::1"] {
            let refusal = addresses.refusal(address.parse().unwrap());
            assert_eq!(refusal, None, "{address}");
        }
    }

    #[test]
    fn the_operator_may_name_private_and_loopback_addresses() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "203.0.113.9",
            "::1",
            "fd12::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!is_refused(address, false), "{address}");
        }
    }

    #[test]
    fn metadata_services_need_a_permission_in_every_form() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::ffff:100.100.100.200",
        ] {
            assert!(is_refused(address, false), "{address}");
            assert!(!is_refused(address, true), "{address}");
        }
    }

    #[test]
    fn some_addresses_are_never_right() {
        for address in [
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "ff02::1",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
        ] {
            assert!(is_refused(address, true), "{address}");
        }
    }
}
