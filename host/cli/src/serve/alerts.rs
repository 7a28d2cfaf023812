//! [`Observer`]: what the host knows of the conditions that sinks report as alerts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use batchtask_host::Intake;
use batchtask_host::notices::{self, Notices};
use batchtask_host::services::Stop;
use batchtask_host::tls::Tls;
use batchtask_journal::Journal;
use batchtask_notification::Class;
use batchtask_notification::time::rfc3339;
use batchtask_relay::report::{Condition, Level, Observed};
use batchtask_relay::{Ownership, Relay, SinkStatus};

use super::operations::{needs_operator, overview};

/// How often the host looks. The journal is asked for a summary and for the newest body in
/// the quarantine.
const EVERY: Duration = Duration::from_secs(5);

/// Fewer failures in a row than this are ignored.
const FAILURES_MIN: u64 = 3;
/// After this number of failures in a row, the platform blocks the host.
const FAILURES_BLOCKED: u64 = 10;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// How long before the end a certificate is worth an alert, and another one each time. Also
/// as parts of its life: certificates that live for a few days are renewed a third before
/// the end.
const EXPIRES: [(u64, u64); 4] = [(21 * DAY_MS, 4), (7 * DAY_MS, 12), (DAY_MS, 24), (0, 1)];

/// Observes the conditions. After a restart, some are not known for a while: then they are
/// left out, and the alerts stay as they are.
pub(super) struct Observer {
    pub(super) relay: Arc<Relay>,
    pub(super) intake: Arc<Intake>,
    pub(super) notices: Notices,
    pub(super) tls: Option<Arc<Tls>>,
    /// When this process began to look, in milliseconds since 1970.
    pub(super) started_ms: u64,
}

impl Observer {
    /// Looks from time to time: at the sinks for the page, and at everything as long as a
    /// sink has alerts.
    pub(super) async fn run(&self, stop: Stop) {
        let mut ticks = tokio::time::interval(EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.notices.set_sinks(overview(&self.relay.statuses()));
            if !self.relay.conditions().is_empty() {
                self.relay.observe(self.observe().await);
            }
        }
    }

    async fn observe(&self) -> Observed {
        let now_ms = now_ms();
        let journal = &**self.intake.journal().journal();
        // Before the summary, which therefore has all events up to there.
        let seq = *journal.last_seq().borrow();
        let sinks = (Condition::SinkFailing, sinks(&self.relay.statuses()));
        let mut levels = BTreeMap::from([sinks]);
        levels.extend(self.clock());
        levels.extend(self.of_summary(journal, now_ms).await);
        levels.extend(quarantine(journal).await);
        if let Some(life_ms) = self.tls.as_ref().and_then(|tls| tls.life_ms()) {
            levels.insert(Condition::CertificateExpires, certificate(life_ms, now_ms));
        }
        Observed { seq, levels }
    }

    /// The tasks of the journal, and whether pushes arrive. Only what is known, if the
    /// journal cannot be read now.
    async fn of_summary(&self, journal: &dyn Journal, now_ms: u64) -> Vec<(Condition, Level)> {
        let stale_before_ms = now_ms.saturating_sub(self.intake.stale_after_ms());
        let refused = self.refused();
        let Ok(summary) = journal.summarize(stale_before_ms).await else {
            return Vec::from_iter(refused.map(|level| (Condition::PushesRefused, level)));
        };
        // A notification since the start shows that pushes are not refused.
        let last_ms = summary.last_received_at_ms;
        let arrives = last_ms.is_some_and(|last_ms| last_ms >= self.started_ms);
        let refused = refused.or_else(|| arrives.then(Level::default));
        let refused = refused.map(|level| (Condition::PushesRefused, level));
        let is_failed = |rank| Class::of_rank(rank) == Class::Retryable;
        let statuses = summary.statuses.iter();
        let failed = statuses.filter(|status| is_failed(status.rank));
        let failed = Level::of_count(failed.map(|status| status.tasks).sum());
        let stale = summary.stale.map(Level::of_count);
        let stale = stale.map(|level| (Condition::TaskStale, level));
        let failed = Some((Condition::TaskFailed, failed));
        [failed, stale, refused].into_iter().flatten().collect()
    }

    /// Whether pushes are refused now.
    fn refused(&self) -> Option<Level> {
        let failures = self.intake.push_failures_in_a_row();
        let reason = (failures >= FAILURES_MIN).then(|| {
            format!(
                "{failures} pushes in a row were not answered 200; after {FAILURES_BLOCKED}, the \
                 platform blocks the host"
            )
        });
        let reason = self.intake.refusing().or(reason)?;
        let mut level = Level::of_reason(Some(reason));
        level.mark += u64::from(failures >= FAILURES_BLOCKED);
        Some(level)
    }

    /// Whether the clock is wrong, if pushes showed it.
    fn clock(&self) -> Option<(Condition, Level)> {
        let agrees = self.intake.clock_agrees()?;
        let notices = self.notices.list();
        let mut notices = notices.into_iter();
        let clock = notices.find(|notice| notice.name == notices::CLOCK);
        let reason = clock.map(|notice| notice.text).filter(|_| !agrees);
        Some((Condition::WrongClock, Level::of_reason(reason)))
    }
}

/// The newest body in the quarantine. Nothing, if it cannot be read now.
async fn quarantine(journal: &dyn Journal) -> Option<(Condition, Level)> {
    let page = journal.list_quarantine(None, 1).await.ok()?;
    let newest = page.rejects.first();
    let mut level = Level::of_count(newest.map_or(0, |reject| reject.seq));
    level.details = newest
        .map(|reject| reject.reject.detail.clone())
        .into_iter()
        .collect();
    Some((Condition::QuarantineGrew, level))
}

/// The sinks that need an operator.
fn sinks(statuses: &[SinkStatus]) -> Level {
    let needs = |status: &&SinkStatus| needs_operator(status);
    let found: Vec<&SinkStatus> = statuses.iter().filter(needs).collect();
    // Of another host, or not proven since the start.
    let is_unknown = |status: &&SinkStatus| {
        let is_untried = status.lag_events() > 0 && status.results.delivered == 0;
        status.ownership != Ownership::Owned || is_untried
    };
    let unknown = statuses.iter().filter(|status| !needs(status));
    let unknown = unknown.filter(is_unknown);
    let error = |status: &&SinkStatus| {
        let error = status.counts.last_error.as_ref()?;
        Some(format!("{}: {}", status.name, error.text))
    };
    Level {
        mark: found.len() as u64,
        subjects: found.iter().map(|status| status.name.clone()).collect(),
        unknown: unknown.map(|status| status.name.clone()).collect(),
        details: found.iter().filter_map(error).collect(),
    }
}

/// A certificate that ends soon. The level grows as the end comes closer.
fn certificate((start_ms, end_ms): (u64, u64), now_ms: u64) -> Level {
    let life_ms = end_ms.saturating_sub(start_ms);
    let left_ms = end_ms.saturating_sub(now_ms);
    let is_within = |(limit_ms, part): &&(u64, u64)| left_ms <= (life_ms / part).min(*limit_ms);
    let mark = EXPIRES.iter().filter(is_within).count() as u64;
    let text = format!("it is valid until {}", rfc3339(end_ms));
    Level {
        mark,
        details: (mark > 0).then_some(text).into_iter().collect(),
        ..Level::default()
    }
}

/// Returns the host's time, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use batchtask_relay::Results;
    use batchtask_relay::scheduler::Counts;

    use super::*;

    fn status(name: &str, dead: usize, undelivered: usize, delivered: u64) -> SinkStatus {
        SinkStatus {
            name: name.into(),
            ownership: Ownership::Owned,
            counts: Counts {
                dead,
                undelivered,
                ..Counts::default()
            },
            results: Results {
                delivered,
                ..Results::default()
            },
            ..SinkStatus::default()
        }
    }

    #[test]
    fn a_sink_that_was_not_tried_may_still_fail() {
        let other = SinkStatus {
            ownership: Ownership::HeldBy("b".into()),
            ..status("other", 0, 0, 0)
        };
        let level = sinks(&[
            status("works", 0, 3, 1),
            status("idle", 0, 0, 0),
            status("dead", 1, 0, 5),
            status("untried", 0, 3, 0),
            other,
        ]);
        assert_eq!((level.mark, level.subjects), (1, vec!["dead".to_owned()]));
        assert_eq!(level.unknown, ["untried", "other"]);
    }

    #[test]
    fn a_certificate_gets_worse_as_its_end_comes_closer() {
        let end_ms = 100 * DAY_MS;
        for (life_days, left_hours, mark) in [
            (100, 100 * 24, 0),
            (100, 22 * 24, 0),
            (100, 21 * 24, 1),
            (100, 7 * 24, 2),
            (100, 24, 3),
            (100, 0, 4),
            // Renewed 48 hours before the end.
            (6, 48, 0),
            (6, 36, 1),
            (6, 12, 2),
            (6, 6, 3),
            (6, 0, 4),
        ] {
            let life_ms = (end_ms - life_days * DAY_MS, end_ms);
            let level = certificate(life_ms, end_ms - left_hours * DAY_MS / 24);
            assert_eq!(level.mark, mark, "{life_days} {left_hours}");
            assert_eq!(level.details.is_empty(), mark == 0);
        }
        assert_eq!(certificate((0, end_ms), end_ms + 1).mark, 4);
    }
}
