//! Measures how far this host's clock differs from the platform's, by the times
//! in pushes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::Gauge;
use tokio::time::Instant;

use crate::component::Response;
use crate::notices::{CLOCK, Notices};
use crate::telemetry::Registry;

/// Differences up to this are ignored, because they may be the time that a push
/// takes to arrive.
const TOLERATED_MS: u64 = 60_000;

/// How many pushes in a row must show a difference, because a single one may
/// have been delayed.
const PUSHES_MIN: u32 = 3;

/// How long after the last push that showed a difference it is forgotten.
/// Without signatures, no push proves that the clock is right.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The clock difference that recent pushes showed.
pub(super) struct Skew {
    seconds: Gauge,
    notices: Notices,
    far: Mutex<Far>,
}

/// Pushes that showed a difference beyond the tolerance.
#[derive(Default)]
struct Far {
    /// How many such pushes came in a row.
    count: u32,
    last: Option<Instant>,
    /// Whether a push showed before that the clock is right.
    has_agreed: bool,
}

impl Skew {
    pub(super) fn register(
        registry: &Registry,
        notices: Notices,
    ) -> Result<Self, prometheus::Error> {
        let seconds = Gauge::new(
            "batchtask_clock_skew_seconds",
            "Seconds that this host's clock is ahead of the platform's, as the last push showed.",
        )?;
        Ok(Self {
            seconds: registry.register(seconds)?,
            notices,
            far: Mutex::default(),
        })
    }

    /// Returns whether the clock agrees with the platform's, if pushes showed it.
    pub(super) fn agrees(&self) -> Option<bool> {
        let far = self.far.lock().unwrap_or_else(PoisonError::into_inner);
        match far.count {
            PUSHES_MIN.. => Some(false),
            0 if far.has_agreed => Some(true),
            _ => None,
        }
    }

    /// Records the clock difference that a push showed. Refused pushes count only
    /// if their signature was checked.
    pub(super) fn pushed(&self, response: &Response) {
        let report = &response.report;
        if response.status != 200 && report.signature.is_none() {
            return;
        }
        match report.skew_ms {
            Some(skew_ms) => self.record(skew_ms),
            None => self.expire(),
        }
    }

    fn record(&self, skew_ms: i64) {
        let is_far = skew_ms.unsigned_abs() > TOLERATED_MS;
        self.seconds.set(skew_ms as f64 / 1000.0);
        let mut far = self.far.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_far {
            self.end(&mut far);
            return;
        }
        far.last = Some(Instant::now());
        far.count = far.count.saturating_add(1);
        if far.count >= PUSHES_MIN {
            let text = text(skew_ms);
            if far.count == PUSHES_MIN {
                tracing::warn!("{text}");
            }
            self.notices.set(CLOCK, text);
        }
    }

    fn expire(&self) {
        let mut far = self.far.lock().unwrap_or_else(PoisonError::into_inner);
        if far.last.is_some_and(|last| last.elapsed() >= FORGET_AFTER) {
            self.seconds.set(0.0);
            self.end(&mut far);
        }
    }

    fn end(&self, far: &mut Far) {
        if far.count >= PUSHES_MIN {
            tracing::info!("the clock of this host agrees with the platform's again");
            self.notices.clear(CLOCK);
        }
        *far = Far {
            has_agreed: true,
            ..Far::default()
        };
    }
}

fn text(skew_ms: i64) -> String {
    let seconds = skew_ms.unsigned_abs() / 1000;
    let direction = if skew_ms > 0 { "ahead of" } else { "behind" };
    format!(
        "the clock of this host is {seconds} s {direction} the platform's: synchronise it, for \
         example by NTP"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::refusal;
    use batchtask_guest::outcomes::Refusal;

    fn skew() -> Skew {
        Skew::register(&Registry::default(), Notices::default()).unwrap()
    }

    fn push(status: u16, signature: Option<&str>, skew_ms: Option<i64>) -> Response {
        let mut response = refusal(Refusal::Unauthorized, None);
        response.status = status;
        response.report.signature = signature.map(Into::into);
        response.report.skew_ms = skew_ms;
        response
    }

    fn notice(skew: &Skew) -> Option<String> {
        Some(skew.notices.list().first()?.text.clone())
    }

    #[tokio::test]
    async fn a_difference_that_lasts_is_a_notice_until_it_is_gone() {
        let skew = skew();
        assert_eq!(skew.agrees(), None, "no push showed it");
        for far_ms in [600_000, -61_000] {
            skew.pushed(&push(200, None, Some(far_ms)));
            skew.pushed(&push(200, None, Some(far_ms)));
            assert_eq!(notice(&skew), None, "it may have been held up");
            skew.pushed(&push(401, Some("the timestamp is outside"), Some(far_ms)));
            assert_eq!(skew.seconds.get(), far_ms as f64 / 1000.0);
            let seconds = far_ms.abs() / 1000;
            let text = notice(&skew).expect("a notice");
            assert_eq!(skew.agrees(), Some(false));
            assert!(text.contains(&format!(" {seconds} s ")), "{text}");
            assert_eq!(text.contains("behind"), far_ms < 0);
            skew.pushed(&push(200, None, Some(60_000)));
            assert_eq!((notice(&skew), skew.agrees()), (None, Some(true)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_signatures_a_difference_is_forgotten_later() {
        let skew = skew();
        for _ in 0..3 {
            skew.pushed(&push(200, None, Some(-600_000)));
        }
        skew.pushed(&push(200, None, None));
        assert!(notice(&skew).is_some(), "an old event shows nothing");
        tokio::time::advance(FORGET_AFTER).await;
        skew.pushed(&push(200, None, None));
        assert_eq!((notice(&skew), skew.seconds.get()), (None, 0.0));
    }

    #[tokio::test]
    async fn strangers_show_nothing() {
        let skew = skew();
        for _ in 0..5 {
            skew.pushed(&push(422, None, Some(-600_000)));
        }
        assert_eq!((notice(&skew), skew.seconds.get()), (None, 0.0));
    }
}
