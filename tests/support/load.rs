//! Connections that post new events, either without pause to the current host
//! ([`Load`]) or at a steady rate ([`push_at_rate`]).

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

/// The state that the connections share.
struct Shared {
    ledger: Arc<Ledger>,
    /// The number of the next event.
    serial: AtomicU64,
    target: watch::Receiver<Target>,
    client: Box<dyn Fn(SocketAddr) -> Client + Send + Sync>,
}

#[derive(Clone, Copy, PartialEq)]
enum Target {
    NoHost,
    Host(SocketAddr),
    End,
}

/// The running connections.
pub(crate) struct Load {
    target: watch::Sender<Target>,
    connections: JoinSet<Seen>,
}

/// The results of the connections other than 200.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Answers 503.
    pub(crate) unavailable: usize,
    /// Requests without an answer.
    pub(crate) unanswered: usize,
    /// Results that must never occur.
    pub(crate) wrong: Vec<String>,
}

impl Load {
    /// Starts `connections` connections, which post once they are pointed at a host.
    pub(crate) fn start(connections: usize, ledger: &Arc<Ledger>) -> Self {
        Self::by(Client::new, connections, ledger)
    }

    /// Like [`start`](Self::start), with other clients.
    pub(crate) fn by(
        client: impl Fn(SocketAddr) -> Client + Send + Sync + 'static,
        connections: usize,
        ledger: &Arc<Ledger>,
    ) -> Self {
        Self::numbered_from(0, client, connections, ledger)
    }

    /// Like [`by`](Self::by), with numbers of events that begin with `first`: for
    /// several loads on one journal.
    pub(crate) fn numbered_from(
        first: u64,
        client: impl Fn(SocketAddr) -> Client + Send + Sync + 'static,
        connections: usize,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let (sender, target) = watch::channel(Target::NoHost);
        let shared = Arc::new(Shared {
            ledger: ledger.clone(),
            serial: AtomicU64::new(first),
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

    /// Stops new requests. Requests in progress continue.
    pub(crate) fn point_away(&self) {
        self.target.send_replace(Target::NoHost);
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
    // An event without an answer is pushed again if its number is even: then it may be
    // stored already, and must not be stored twice.
    let mut again: Option<u64> = None;
    loop {
        let is_set = |target: &Target| *target != Target::NoHost;
        let now = target.wait_for(is_set).await.map(|now| *now);
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
                        // The host is ending: wait for the next one.
                        let _ = target.changed().await;
                    }
                }
                Err(failure) => seen.wrong.push(format!("{failure:?}")),
            }
        }
    }
}

/// Posts `count` events at a steady rate, over eight connections. Each connection
/// returns how long its posts took.
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
        // Measured from when it was due, so waiting for the previous post counts.
        times.push(due.elapsed());
        ledger.acknowledge(notification.status_desc, body);
    }
    times
}
