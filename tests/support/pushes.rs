//! [`Pushes`]: pushes at a steady rate over keep-alive connections, whatever happens
//! to the host. Like the platform, it sends each push once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::client::Client;
use super::ledger::Ledger;
use super::notifications::Notification;

/// The running connections.
pub(crate) struct Pushes {
    ledger: Arc<Ledger>,
    end: watch::Sender<bool>,
    connections: JoinSet<Report>,
}

/// The results of the pushes.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Every push that was not answered 200.
    pub(crate) missed: Vec<String>,
    /// The longest time that an answer took.
    pub(crate) slowest: Duration,
}

impl Pushes {
    /// Starts `per_s` pushes a second, distributed over the clients.
    pub(crate) fn start(per_s: u32, clients: impl ExactSizeIterator<Item = Client>) -> Self {
        let every = Duration::from_secs(1) * clients.len() as u32 / per_s;
        let ledger = Arc::new(Ledger::new());
        let (end, ending) = watch::channel(false);
        let serial = Arc::<AtomicU64>::default();
        let mut first = Instant::now();
        let mut connections = JoinSet::new();
        for client in clients {
            // The connections take turns instead of pushing at the same time.
            first += Duration::from_secs(1) / per_s;
            let mut clock = interval_at(first, every);
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (ledger, ending, serial) = (ledger.clone(), ending.clone(), serial.clone());
            connections.spawn(async move {
                let mut connection = Connection {
                    client,
                    ledger,
                    report: Report::default(),
                };
                while !*ending.borrow() {
                    clock.tick().await;
                    connection.push(serial.fetch_add(1, Relaxed)).await;
                }
                connection.report
            });
        }
        Self {
            ledger,
            end,
            connections,
        }
    }

    /// Waits until this many more pushes were answered 200.
    pub(crate) async fn answered(&self, more: usize) {
        self.ledger.reaches(self.ledger.len() + more).await;
    }

    /// Ends all connections, each after its push.
    pub(crate) async fn end(self) -> (Arc<Ledger>, Report) {
        self.end.send_replace(true);
        let reports = self.connections.join_all().await;
        let report = reports
            .into_iter()
            .fold(Report::default(), |sum, report| Report {
                missed: [sum.missed, report.missed].concat(),
                slowest: sum.slowest.max(report.slowest),
            });
        (self.ledger, report)
    }
}

struct Connection {
    client: Client,
    ledger: Arc<Ledger>,
    report: Report,
}

impl Connection {
    async fn push(&mut self, serial: u64) {
        let notification = Notification::numbered(serial);
        let body = notification.body();
        let started = Instant::now();
        let answer = self.client.try_post(&body).await;
        self.report.slowest = self.report.slowest.max(started.elapsed());
        match answer {
            Ok(answer) if answer.status == 200 => {
                self.ledger.acknowledge(notification.status_desc, body);
            }
            Ok(answer) => self.report.missed.push(answer.text()),
            Err(failure) => self.report.missed.push(format!("{failure:?}")),
        }
    }
}
