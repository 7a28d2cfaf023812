//! Slows down who guesses tokens: a login is refused at once after too many failed ones
//! from its network. Nothing waits, so nothing is held.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many logins of a network may fail within the time.
const FAILURES_MAX: u32 = 10;

/// After this time without a failed login, a network begins anew.
const TIME: Duration = Duration::from_secs(60);

/// How many networks are remembered. Beyond it, the one that failed longest ago is
/// forgotten.
const NETWORKS_MAX: usize = 1024;

/// The failed logins of each network.
#[derive(Default)]
pub(super) struct Logins(Mutex<HashMap<Option<IpAddr>, Failures>>);

struct Failures {
    count: u32,
    last: Instant,
}

impl Logins {
    /// Whether a login from this address may be tried.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> bool {
        self.admit_at(peer, Instant::now())
    }

    /// Remembers that a login from this address failed, and logs it.
    pub(super) fn failed(&self, peer: Option<IpAddr>) {
        let count = self.failed_at(peer, Instant::now());
        let peer = peer.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        if count < FAILURES_MAX {
            tracing::warn!(peer, "a login failed, because the token is wrong");
        } else {
            let seconds = TIME.as_secs();
            tracing::warn!(
                peer,
                "a login failed, because the token is wrong; after {count} failures, \
                 further ones from this network are refused for {seconds} s"
            );
        }
    }

    fn admit_at(&self, peer: Option<IpAddr>, now: Instant) -> bool {
        let failures = self.failures();
        let found = failures.get(&network(peer));
        found.is_none_or(|failures| failures.count < FAILURES_MAX || now >= failures.last + TIME)
    }

    /// Returns how many logins of the network have failed.
    fn failed_at(&self, peer: Option<IpAddr>, now: Instant) -> u32 {
        let mut failures = self.failures();
        let network = network(peer);
        if failures.len() >= NETWORKS_MAX && !failures.contains_key(&network) {
            let oldest = failures.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(oldest) = oldest.map(|(network, _)| *network) {
                failures.remove(&oldest);
            }
        }
        let found = failures.entry(network).or_insert(Failures {
            count: 0,
            last: now,
        });
        if now >= found.last + TIME {
            found.count = 0;
        }
        found.count = found.count.saturating_add(1);
        found.last = now;
        found.count
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network of an address: of IPv6, the 64 bits that one customer has.
fn network(peer: Option<IpAddr>) -> Option<IpAddr> {
    peer.map(|ip| match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip => ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_network_that_fails_too_often_waits_and_others_do_not() {
        let logins = Logins::default();
        let start = Instant::now();
        for at in 0..FAILURES_MAX {
            assert!(logins.admit_at(ip("2001:db8::1"), start), "{at}");
            logins.failed_at(ip(&format!("2001:db8::{at:x}")), start);
        }
        for (peer, admitted) in [("2001:db8::9999", false), ("2001:db8:0:1::1", true)] {
            assert_eq!(logins.admit_at(ip(peer), start), admitted, "{peer}");
        }
        assert!(logins.admit_at(None, start));
        let later = start + TIME;
        assert!(logins.admit_at(ip("2001:db8::1"), later));
        logins.failed_at(ip("2001:db8::1"), later);
        assert!(logins.admit_at(ip("2001:db8::1"), later), "it began anew");
    }

    #[test]
    fn the_number_of_networks_is_bounded() {
        let logins = Logins::default();
        let start = Instant::now();
        for at in 0..u32::try_from(NETWORKS_MAX).unwrap() + 9 {
            let peer = Some(IpAddr::from(at.to_be_bytes()));
            logins.failed_at(peer, start + Duration::from_millis(at.into()));
        }
        let failures = logins.failures();
        assert_eq!(failures.len(), NETWORKS_MAX);
        assert!(!failures.contains_key(&ip("0.0.0.8")), "the oldest");
        assert!(failures.contains_key(&ip("0.0.0.9")));
    }
}
