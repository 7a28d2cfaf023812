//! Connections that post new events: without pause, to whatever host there is;
//! or at a steady rate.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Client, Failure};
use super::ledger::Ledger;
use super::notifications::Notification;

/// What the connections share.
struct Shared {
    ledger: Arc<Ledger>,
    /// The number of the next event.
    serial: AtomicU64,
    target: watch::Receiver<Target>,
    client: Box<dyn Fn(SocketAddr) -> Client + Send + Sync>,
}

#[derive(Clone, Copy, PartialEq)]
enum Target {
    Nobody,
    Host(SocketAddr),
    End,
}

/// Connections at work.
pub(crate) struct Load {
    target: watch::Sender<Target>,
    connections: JoinSet<Seen>,
}

/// What connections met with beside 200.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers 503.
    pub(crate) unavailable: usize,
    /// Requests without an answer.
    pub(crate) unanswered: usize,
    /// Everything that must never be.
    pub(crate) wrong: Vec<String>,
}

impl Load {
    /// `connections` connections, which post once they are pointed at a host.
    pub(crate) fn start(connections: usize, ledger: &Arc<Ledger>) -> Self {
        Self::by(Client::new, connections, ledger)
    }

    /// The same with clients of another kind.
    pub(crate) fn by(
        client: impl Fn(SocketAddr) -> Client + Send + Sync + 'static,
        connections: usize,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let (sender, target) = watch::channel(Target::Nobody);
        let shared = Arc::new(Shared {
            ledger: ledger.clone(),
            serial: AtomicU64::new(0),
            target,
            client: Box::new(client),
        });
        let connections = (0..connections).map(|_| post_on(shared.clone())).collect();
        Self {
            target: sender,
            connections,
        }
    }

    pub(crate) fn point_at(&self, address: SocketAddr) {
        self.target.send_replace(Target::Host(address));
    }

    /// No new requests; those under way go on.
    pub(crate) fn point_away(&self) {
        self.target.send_replace(Target::Nobody);
    }

    /// Ends all connections, each after its request.
    pub(crate) async fn end(self) -> Seen {
        self.target.send_replace(Target::End);
        let seen = self.connections.join_all().await;
        seen.into_iter().fold(Seen::default(), |mut sum, seen| {
            sum.unavailable += seen.unavailable;
            sum.unanswered += seen.unanswered;
            sum.wrong.extend(seen.wrong);
            sum
        })
    }
}

async fn post_on(shared: Arc<Shared>) -> Seen {
    let mut seen = Seen::default();
    let mut target = shared.target.clone();
    // An event without an answer is pushed again when its number is even: then
    // it may be there already, and must not be there twice.
    let mut again: Option<u64> = None;
    loop {
        let is_someone = |target: &Target| *target != Target::Nobody;
        let now = target.wait_for(is_someone).await.map(|now| *now);
        let Ok(Target::Host(address)) = now else {
            return seen;
        };
        let mut client = (shared.client)(address);
        while *target.borrow() == Target::Host(address) {
            let serial = again.take();
            let serial = serial.unwrap_or_else(|| shared.serial.fetch_add(1, Ordering::Relaxed));
            let notification = Notification::numbered(serial);
            let body = notification.body();
            match client.try_post(&body).await {
                Ok(answer) if answer.status == 200 => {
                    shared.ledger.acknowledge(notification.status_desc, body);
                }
                Ok(answer) if answer.status == 503 => {
                    seen.unavailable += 1;
                    again = Some(serial);
                }
                Ok(answer) => seen.wrong.push(answer.text()),
                Err(Failure::NotAnswered(_)) => {
                    seen.unanswered += 1;
                    again = Some(serial).filter(|serial| serial % 2 == 0);
                    if target.borrow().eq(&Target::Host(address)) {
                        // The host is ending: wait for the next.
                        let _ = target.changed().await;
                    }
                }
                Err(failure) => seen.wrong.push(format!("{failure:?}")),
            }
        }
    }
}

/// Posts so many events at a steady rate, over eight connections, each of which
/// ends with how long its posts took.
pub(crate) fn push_at_rate(
    per_s: usize,
    count: usize,
    host: SocketAddr,
    ledger: &Arc<Ledger>,
) -> JoinSet<Vec<Duration>> {
    const CONNECTIONS: usize = 8;
    let every = Duration::from_secs(1) * CONNECTIONS as u32 / per_s as u32;
    let count = (count / CONNECTIONS) as u64;
    let connection = |number: usize| {
        let first = number as u64 * count;
        push(first..first + count, every, host, ledger.clone())
    };
    (0..CONNECTIONS).map(connection).collect()
}

async fn push(
    serials: Range<u64>,
    every: Duration,
    host: SocketAddr,
    ledger: Arc<Ledger>,
) -> Vec<Duration> {
    let mut client = Client::new(host);
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut times = Vec::new();
    for serial in serials {
        let due = clock.tick().await;
        let notification = Notification::numbered(serial);
        let body = notification.body();
        client.post(&body).await.expect(200, "recorded");
        // From when it was due: waiting for the one before counts too.
        times.push(due.elapsed());
        ledger.acknowledge(notification.status_desc, body);
    }
    times
}
