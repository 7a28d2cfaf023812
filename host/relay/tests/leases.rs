//! Random schedules of the lease: several hosts, a store with a clock of its own,
//! requests that take long or are lost, and hosts that stop and go on.

use std::time::Duration;

use batchtask_relay::lease::{Lease, Step};
use fastrand::Rng;

use crate::seeds;

/// Seeds that once found a fault.
const FAILED: &[u64] = &[];

const LENGTH_MS: u64 = 1_000;

#[test]
fn no_two_hosts_ever_own_a_sink() {
    seeds::run(FAILED, |seed| World::new(seed).run());
}

struct World {
    rng: Rng,
    now_ms: u64,
    hosts: Vec<Host>,
    /// The store: owner, fencing number, and when the lease ends.
    owner: usize,
    fence: u64,
    until_ms: u64,
    /// Since when no host owned the sink, although one was running all the time.
    unowned_since_ms: Option<u64>,
}

struct Host {
    lease: Lease,
    /// A stopped host does nothing.
    stopped_until_ms: u64,
    request: Option<Request>,
}

/// A request to the store, and what it answered.
struct Request {
    step: Step,
    sent_ms: u64,
    handled_at_ms: u64,
    answered_at_ms: u64,
    is_lost: bool,
    answer: Option<Answer>,
}

#[derive(Clone, Copy)]
enum Answer {
    Granted(u64),
    Refused,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let hosts = 0..rng.usize(2..=4);
        let hosts = hosts.map(|_| Host {
            lease: Lease::new(Duration::from_millis(LENGTH_MS)),
            stopped_until_ms: 0,
            request: None,
        });
        Self {
            hosts: hosts.collect(),
            rng,
            now_ms: 0,
            owner: usize::MAX,
            fence: 0,
            until_ms: 0,
            unowned_since_ms: None,
        }
    }

    fn run(mut self) {
        let mut owned_ms = 0;
        for _ in 0..6_000 {
            self.now_ms += self.rng.u64(1..20);
            for host in 0..self.hosts.len() {
                self.handle(host);
                self.act(host);
            }
            owned_ms += u64::from(self.check());
        }
        assert!(owned_ms > 2_000, "the sink is owned most of the time");
    }

    /// The store handles requests even of hosts that stopped meanwhile.
    fn handle(&mut self, host: usize) {
        let now_ms = self.now_ms;
        let Some(request) = &mut self.hosts[host].request else {
            return;
        };
        if request.is_lost || request.answer.is_some() || now_ms < request.handled_at_ms {
            return;
        }
        let is_free = self.owner == host || now_ms >= self.until_ms;
        request.answer = Some(match request.step {
            Step::Acquire if is_free => {
                self.fence += 1;
                Answer::Granted(self.fence)
            }
            Step::Renew(fence) if fence == self.fence => Answer::Granted(fence),
            _ => Answer::Refused,
        });
        if let Some(Answer::Granted(_)) = request.answer {
            self.owner = host;
            self.until_ms = now_ms + LENGTH_MS;
        }
    }

    fn act(&mut self, at: usize) {
        let now_ms = self.now_ms;
        let host = &mut self.hosts[at];
        if now_ms < host.stopped_until_ms {
            return;
        }
        if self.rng.u16(0..400) == 0 {
            host.stopped_until_ms = now_ms + self.rng.u64(0..4_000);
            return;
        }
        if let Some(request) = host
            .request
            .take_if(|request| now_ms >= request.answered_at_ms)
        {
            match request.answer {
                Some(Answer::Granted(fence)) => host.lease.granted(fence, request.sent_ms),
                Some(Answer::Refused) => host.lease.lost(now_ms),
                None => host.lease.unanswered(now_ms),
            }
        }
        let step = host.lease.step(now_ms);
        if host.request.is_none() && !matches!(step, Step::WaitUntil(_)) {
            let handled_at_ms = now_ms + self.rng.u64(0..60);
            host.request = Some(Request {
                step,
                sent_ms: now_ms,
                handled_at_ms,
                answered_at_ms: handled_at_ms + self.rng.u64(0..60),
                is_lost: self.rng.u8(0..12) == 0,
                answer: None,
            });
        }
    }

    /// At most one host believes that it owns the sink, and that one has the greatest
    /// number. Returns whether there is one.
    fn check(&mut self) -> bool {
        let now_ms = self.now_ms;
        let fences = self
            .hosts
            .iter()
            .filter_map(|host| host.lease.fence(now_ms));
        let fences: Vec<u64> = fences.collect();
        assert!(fences.len() <= 1, "{fences:?} at {now_ms}");
        assert!(fences.iter().all(|fence| *fence == self.fence));
        let all_run = self
            .hosts
            .iter()
            .all(|host| now_ms >= host.stopped_until_ms);
        if !fences.is_empty() || !all_run {
            self.unowned_since_ms = None;
        } else {
            let since_ms = *self.unowned_since_ms.get_or_insert(now_ms);
            let pause_ms = now_ms - since_ms;
            assert!(
                pause_ms < 2 * LENGTH_MS,
                "no host owns it for {pause_ms} ms"
            );
        }
        !fences.is_empty()
    }
}
