//! [`Platform`]: a simulator of the platform, by its documentation and the reports of
//! its users.
//!
//! - A push is delivered if it is answered with exactly 200 in time. Otherwise it is a
//!   miss, and its message is discarded: there is no second push.
//! - Ten misses in a row block the host. Then new messages accumulate up to a bound;
//!   beyond it the oldest are dropped.
//! - A blocked host is tried at intervals, with the oldest message. One delivery
//!   unblocks it, and the whole backlog follows, oldest first and at a limited rate,
//!   before any new message.
//!
//! The times are scaled down, the counts are not. Delivered messages are in the
//! [`Ledger`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::PATIENCE;
use super::client::Client;
use super::ledger::Ledger;
use super::notifications::Notification;

/// How long the platform waits for an answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(15);

/// How many misses in a row block a host.
const MISSES_TO_BLOCK: u32 = 10;

/// How many messages a second are pushed from a backlog.
const BURST_PER_S: u32 = 800;

/// How often a blocked host is tried. The platform waits three minutes.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// How many pushes may wait for an answer at the same time.
const PUSHES_AT_ONCE: usize = 16;

/// The parameters of a simulation.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// New messages a second.
    pub(crate) per_s: u32,
    /// How many messages may accumulate for a blocked host.
    pub(crate) backlog: usize,
    /// How long an answer may take.
    pub(crate) answer_time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            per_s: 500,
            backlog: 100_000,
            answer_time: ANSWER_TIME,
        }
    }
}

/// The results of all messages so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) delivered: usize,
    /// Messages that were pushed but not delivered.
    pub(crate) discarded: usize,
    /// Messages that were never pushed, because the backlog was full.
    pub(crate) dropped: usize,
    /// How often the host was blocked.
    pub(crate) blocks: usize,
    pub(crate) is_blocked: bool,
    /// The maximum number of waiting messages.
    pub(crate) longest_backlog: usize,
    /// The shortest time that a delivery took.
    pub(crate) quickest_delivery: Option<Duration>,
    /// The longest time that a push took, delivered or not.
    pub(crate) slowest_push: Duration,
}

/// The running platform.
pub(crate) struct Platform {
    ledger: Arc<Ledger>,
    url: watch::Sender<SocketAddr>,
    report: watch::Receiver<Report>,
    end: watch::Sender<bool>,
    rule: JoinHandle<()>,
}

impl Platform {
    /// Starts to push to a host.
    pub(crate) fn start(pace: Pace, host: SocketAddr) -> Self {
        let ledger = Arc::new(Ledger::new());
        let url = watch::Sender::new(host);
        let report = watch::Sender::default();
        let end = watch::Sender::new(false);
        let rule = Rule {
            pace,
            url: url.subscribe(),
            ledger: ledger.clone(),
            waiting: VecDeque::new(),
            pushes: JoinSet::new(),
            idle: Vec::new(),
            state: State::Open,
            misses: 0,
        };
        Self {
            ledger,
            url,
            report: report.subscribe(),
            rule: tokio::spawn(rule.run(end.subscribe(), report)),
            end,
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Changes the address of the host, as if its DNS name had changed.
    pub(crate) fn moved_to(&self, host: SocketAddr) {
        self.url.send_replace(host);
    }

    /// Waits until the report meets the condition.
    pub(crate) async fn reports(&mut self, condition: impl FnMut(&Report) -> bool) -> Report {
        let reported = tokio::time::timeout(PATIENCE, self.report.wait_for(condition)).await;
        let report = reported.map(|report| report.map(|report| report.clone()));
        report
            .unwrap_or_else(|_| panic!("still {:?}", self.report.borrow()))
            .expect("it reports")
    }

    /// Stops new messages, waits until all were pushed, and returns the ledger and the
    /// final report.
    pub(crate) async fn end(self) -> (Arc<Ledger>, Report) {
        self.end.send_replace(true);
        let ended = tokio::time::timeout(PATIENCE, self.rule).await;
        ended.expect("all are pushed").expect("without a panic");
        let report = self.report.borrow().clone();
        (self.ledger, report)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// New messages are pushed at once.
    Open,
    /// Nothing is pushed until the next probe.
    Blocked,
    /// Only the oldest message is being pushed.
    Probed,
    /// The backlog is being pushed.
    Burst,
}

/// The state of the platform.
struct Rule {
    pace: Pace,
    url: watch::Receiver<SocketAddr>,
    ledger: Arc<Ledger>,
    /// Numbers of the messages that are not pushed yet, oldest first.
    waiting: VecDeque<u64>,
    pushes: JoinSet<Pushed>,
    idle: Vec<(SocketAddr, Client)>,
    state: State,
    misses: u32,
}

/// The result of a push.
struct Pushed {
    notification: Notification,
    delivered: bool,
    took: Duration,
    connection: (SocketAddr, Client),
}

impl Rule {
    async fn run(mut self, mut end: watch::Receiver<bool>, report: watch::Sender<Report>) {
        let mut new = ticks(Duration::from_secs(1) / self.pace.per_s);
        let mut burst = ticks(Duration::from_secs(1) / BURST_PER_S);
        let mut probe = ticks(PROBE_EVERY);
        let mut serial = 0;
        let mut ending = false;
        while !(ending && self.waiting.is_empty() && self.pushes.is_empty()) {
            tokio::select! {
                _ = end.changed(), if !ending => ending = true,
                _ = new.tick(), if !ending => {
                    self.waiting.push_back(serial);
                    serial += 1;
                    self.drop_oldest(&report);
                }
                _ = burst.tick(), if self.state == State::Burst => self.push_in_burst(),
                _ = probe.tick(), if self.state == State::Blocked => self.probe(),
                Some(pushed) = self.pushes.join_next() => {
                    self.settle(pushed.expect("a push does not panic"), &report);
                }
            }
            while self.state == State::Open && !self.waiting.is_empty() && self.has_room() {
                self.push();
            }
        }
    }

    fn drop_oldest(&mut self, report: &watch::Sender<Report>) {
        let over = self.waiting.len().saturating_sub(self.pace.backlog);
        self.waiting.drain(..over);
        report.send_modify(|report| {
            report.dropped += over;
            report.longest_backlog = report.longest_backlog.max(self.waiting.len());
        });
    }

    fn has_room(&self) -> bool {
        self.pushes.len() < PUSHES_AT_ONCE
    }

    fn push_in_burst(&mut self) {
        if self.waiting.is_empty() {
            self.state = State::Open;
        } else if self.has_room() {
            self.push();
        }
    }

    fn probe(&mut self) {
        // Pushes that were in progress when the host was blocked must end first.
        if self.pushes.is_empty() && !self.waiting.is_empty() {
            self.state = State::Probed;
            self.push();
        }
    }

    fn push(&mut self) {
        let Some(serial) = self.waiting.pop_front() else {
            return;
        };
        let url = *self.url.borrow();
        self.idle.retain(|(address, _)| *address == url);
        let patience = self.pace.answer_time;
        let new = || (url, Client::new(url).with_patience(patience));
        let mut connection = self.idle.pop().unwrap_or_else(new);
        self.pushes.spawn(async move {
            let notification = Notification::numbered(serial);
            let started = Instant::now();
            let answer = connection.1.try_post(notification.body()).await;
            Pushed {
                took: started.elapsed(),
                notification,
                delivered: answer.is_ok_and(|answer| answer.status == 200),
                connection,
            }
        });
    }

    fn settle(&mut self, pushed: Pushed, report: &watch::Sender<Report>) {
        self.idle.push(pushed.connection);
        if pushed.delivered {
            self.misses = 0;
            if self.state == State::Probed {
                self.state = State::Burst;
            }
            let body = pushed.notification.body();
            self.ledger
                .acknowledge(pushed.notification.status_desc, body);
        } else {
            self.misses += 1;
        }
        let blocked_before = matches!(self.state, State::Blocked | State::Probed);
        if self.state == State::Probed || self.misses >= MISSES_TO_BLOCK {
            self.state = State::Blocked;
        }
        let is_blocked = self.state == State::Blocked;
        report.send_modify(|report| {
            report.delivered += usize::from(pushed.delivered);
            report.discarded += usize::from(!pushed.delivered);
            report.blocks += usize::from(is_blocked && !blocked_before);
            report.is_blocked = is_blocked;
            report.slowest_push = report.slowest_push.max(pushed.took);
            if pushed.delivered {
                let quickest = report.quickest_delivery.unwrap_or(pushed.took);
                report.quickest_delivery = Some(quickest.min(pushed.took));
            }
        });
    }
}

/// Returns a clock that makes up for missed ticks.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
