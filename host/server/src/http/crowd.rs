//! A crowd: a bounded set of connections or unfinished requests. When it is full
//! and another member enters, the oldest member of the peer that has the most
//! members is evicted.
//!
//! Until a crowd is full no peer is limited, so one address may send as much as it
//! likes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// A peer, whose members are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// All clients without a known address, for example on a Unix socket.
    Unknown,
    /// An IPv4 address, or the /64 network of an IPv6 address, because a provider's
    /// customer gets at least a /64.
    Network(IpAddr),
    /// One HTTP/2 connection, by its number.
    Connection(u64),
}

impl Peer {
    /// Returns the peer for an address.
    pub(crate) fn at(address: Option<IpAddr>) -> Self {
        const NETWORK: u128 = u128::MAX << 64;
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V6(address)) => {
                Self::Network(IpAddr::V6((address.to_bits() & NETWORK).into()))
            }
            Some(address) => Self::Network(address),
        }
    }
}

/// A bounded crowd. Clones share it.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Shared>);

struct Shared {
    capacity: usize,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    /// The number of the next member. Older members have lower numbers.
    next: u64,
    count: usize,
    peers: HashMap<Peer, BTreeMap<u64, Arc<State>>>,
    /// The peers by their number of members, in ascending order.
    ranking: BTreeSet<(usize, Reverse<Peer>)>,
}

struct State {
    since: Instant,
    /// How many holds protect the member from eviction.
    holds: AtomicUsize,
    evicted: CancellationToken,
}

/// A member of a crowd. Dropping it leaves the crowd.
pub(crate) struct Member {
    crowd: Crowd,
    peer: Peer,
    number: u64,
    state: Arc<State>,
}

/// Protects a member from eviction until it is dropped.
pub(crate) struct Hold(Arc<State>);

impl Crowd {
    pub(crate) fn new(capacity: usize) -> Self {
        let members = Mutex::default();
        Self(Arc::new(Shared { capacity, members }))
    }

    /// Adds a member, and evicts another one if the crowd is full. Returns `None`
    /// if the crowd is full and all its members are held.
    pub(crate) fn enter(&self, peer: Peer) -> Option<Member> {
        let mut members = self.members();
        if members.count >= self.0.capacity && !members.evict(Duration::ZERO) {
            return None;
        }
        let (number, state) = members.add(peer);
        drop(members);
        Some(Member {
            crowd: self.clone(),
            peer,
            number,
            state,
        })
    }

    /// Evicts a member that is at least `min_age` old. Returns whether there was
    /// one that is not held.
    pub(crate) fn evict(&self, min_age: Duration) -> bool {
        self.members().evict(min_age)
    }

    /// Locks the members, which are valid even if a thread panicked with the lock.
    fn members(&self) -> MutexGuard<'_, Members> {
        self.0
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Members {
    fn add(&mut self, peer: Peer) -> (u64, Arc<State>) {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        let state = Arc::new(State {
            since: Instant::now(),
            holds: AtomicUsize::new(0),
            evicted: CancellationToken::new(),
        });
        let peer_members = self.peers.entry(peer).or_default();
        self.ranking.remove(&(peer_members.len(), Reverse(peer)));
        peer_members.insert(number, state.clone());
        self.ranking.insert((peer_members.len(), Reverse(peer)));
        (number, state)
    }

    /// Removes a member, unless it has been evicted already.
    fn remove(&mut self, peer: Peer, number: u64) {
        let Some(peer_members) = self.peers.get_mut(&peer) else {
            return;
        };
        let before = peer_members.len();
        if peer_members.remove(&number).is_none() {
            return;
        }
        self.count -= 1;
        self.ranking.remove(&(before, Reverse(peer)));
        if peer_members.is_empty() {
            self.peers.remove(&peer);
        } else {
            self.ranking.insert((before - 1, Reverse(peer)));
        }
    }

    fn evict(&mut self, min_age: Duration) -> bool {
        let Some((peer, number, state)) = self.victim(min_age) else {
            return false;
        };
        state.evicted.cancel();
        self.remove(peer, number);
        true
    }

    /// Finds the oldest member that can be evicted, of the peer that has the most
    /// members.
    fn victim(&self, min_age: Duration) -> Option<(Peer, u64, Arc<State>)> {
        let peers = self.ranking.iter().rev().map(|(_, Reverse(peer))| *peer);
        peers
            .flat_map(|peer| {
                self.peers
                    .get(&peer)
                    .into_iter()
                    .flatten()
                    .map(move |(number, state)| (peer, *number, state))
            })
            .find(|(_, _, state)| state.can_be_evicted(min_age))
            .map(|(peer, number, state)| (peer, number, state.clone()))
    }
}

impl State {
    fn can_be_evicted(&self, min_age: Duration) -> bool {
        self.holds.load(Relaxed) == 0 && self.since.elapsed() >= min_age
    }
}

impl Member {
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Returns the member's number, which is unique in its crowd.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Protects the member from eviction until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.state.holds.fetch_add(1, Relaxed);
        Hold(self.state.clone())
    }

    /// Resolves when the member is evicted.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.cancelled().await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.crowd.members().remove(self.peer, self.number);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn peer(last: u8) -> Peer {
        Peer::at(Some(IpAddr::from([192, 0, 2, last])))
    }

    fn is_evicted(member: &Member) -> bool {
        member.state.evicted.is_cancelled()
    }

    #[test]
    fn the_oldest_member_of_the_peer_with_the_most_members_is_evicted() {
        let crowd = Crowd::new(4);
        let enter = |last| crowd.enter(peer(last)).unwrap();
        let members = [enter(1), enter(2), enter(2), enter(2)];
        let fifth = enter(1);
        let evicted: Vec<_> = members.iter().map(is_evicted).collect();
        assert_eq!(evicted, [false, true, false, false]);
        drop(fifth);
        let _fifth = enter(3);
        assert!(!members[2..].iter().any(is_evicted), "there was room");
    }

    #[test]
    fn below_the_bound_one_peer_may_have_everything() {
        let crowd = Crowd::new(100);
        let members: Vec<_> = (0..100).map(|_| crowd.enter(peer(1)).unwrap()).collect();
        assert!(!members.iter().any(is_evicted));
    }

    #[test]
    fn held_members_stay_and_a_crowd_full_of_them_accepts_no_more() {
        let crowd = Crowd::new(2);
        let [first, second] = [(); 2].map(|()| crowd.enter(peer(1)).unwrap());
        let held = first.hold();
        let third = crowd.enter(peer(2)).unwrap();
        assert!(!is_evicted(&first) && is_evicted(&second));
        let _third_held = third.hold();
        assert!(crowd.enter(peer(3)).is_none());
        drop(held);
        assert!(crowd.enter(peer(3)).is_some());
        assert!(is_evicted(&first));
    }

    #[test]
    fn only_a_member_of_the_minimum_age_is_evicted() {
        let crowd = Crowd::new(2);
        let member = crowd.enter(peer(1)).unwrap();
        assert!(!crowd.evict(Duration::from_secs(60)));
        assert!(crowd.evict(Duration::ZERO) && is_evicted(&member));
        assert!(!crowd.evict(Duration::ZERO), "it has left");
    }

    #[test]
    fn members_that_left_leave_nothing_behind() {
        let crowd = Crowd::new(8);
        for round in 0..100_u8 {
            let members: Vec<_> = (0..8).map(|n| crowd.enter(peer(n % 3 + round))).collect();
            let _ninth = crowd.enter(peer(round)).unwrap();
            drop(members);
        }
        let members = crowd.members();
        assert_eq!(members.count, 0);
        assert!(members.peers.is_empty() && members.ranking.is_empty());
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let at = |text: &str| Peer::at(Some(text.parse().unwrap()));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), peer(1));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_ne!(Peer::at(None), Peer::at(Some(Ipv6Addr::UNSPECIFIED.into())));
    }
}
