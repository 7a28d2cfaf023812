//! The sender, as its documentation and the reports of its users have it.
//!
//! - A push is delivered when it is answered with exactly 200 in time. Else it
//!   is a miss, and its message is discarded: there is no second push.
//! - Ten misses in a row block the host. New messages then stack up, to a
//!   bound; beyond it the oldest are dropped.
//! - A blocked host is tried every so often, with the oldest message. One
//!   delivery opens it, and the whole backlog follows, oldest first and at a
//!   limited rate, before anything new.
//!
//! The times are scaled down, the counts are not. What it believes delivered
//! is in its [`Ledger`].

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

/// Misses in a row that block a host.
const MISSES_TO_BLOCK: u32 = 10;

/// Messages a second while a backlog is pushed.
const BURST_PER_S: u32 = 800;

/// Instead of three minutes.
const PROBE_EVERY: Duration = Duration::from_millis(100);

/// Pushes that wait for an answer at once.
const PUSHES_AT_ONCE: usize = 16;

/// What a test decides.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// New messages a second.
    pub(crate) per_s: u32,
    /// How many messages stack up for a blocked host.
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

/// What became of the messages, so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) delivered: usize,
    /// Pushed, and not delivered.
    pub(crate) discarded: usize,
    /// Never pushed: the backlog was full.
    pub(crate) dropped: usize,
    /// How often the host was blocked.
    pub(crate) blocks: usize,
    pub(crate) is_blocked: bool,
    /// The most messages that waited.
    pub(crate) longest_backlog: usize,
    /// The least time that a delivery took.
    pub(crate) quickest_delivery: Option<Duration>,
    /// The most time that a push took, delivered or not.
    pub(crate) slowest_push: Duration,
}

/// The platform at work.
pub(crate) struct Platform {
    ledger: Arc<Ledger>,
    url: watch::Sender<SocketAddr>,
    report: watch::Receiver<Report>,
    end: watch::Sender<bool>,
    rule: JoinHandle<()>,
}

impl Platform {
    /// Begins to push to a host.
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

    /// The name in the URL now stands for another address.
    pub(crate) fn moved_to(&self, host: SocketAddr) {
        self.url.send_replace(host);
    }

    /// Waits until the report says so.
    pub(crate) async fn reports(&mut self, condition: impl FnMut(&Report) -> bool) -> Report {
        let reported = tokio::time::timeout(PATIENCE, self.report.wait_for(condition)).await;
        let report = reported.map(|report| report.map(|report| report.clone()));
        report
            .unwrap_or_else(|_| panic!("still {:?}", self.report.borrow()))
            .expect("it reports")
    }

    /// No new messages; returns when none is left. Ledger and final report.
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
    /// Messages are pushed as they come.
    Open,
    /// Nothing is pushed until the next probe.
    Blocked,
    /// The oldest message is under way, alone.
    Probed,
    /// The backlog is pushed.
    Burst,
}

/// The platform's bookkeeping.
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

/// A push that came to an end.
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
        // What was under way when the host was blocked comes to its end first.
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

/// A clock that makes up for ticks it was late for.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
