//! Counts of what arrived, by minute and by hour. A backend keeps both, so that a
//! long range is read from few rows.

use std::collections::BTreeMap;

use batchtask_guest::journal::{HOUR_MS, MINUTE_MS, ranks};

use crate::{Activity, ActivityQuery, Class, Event, Source};

/// The lengths of the spans that a backend keeps, in milliseconds.
pub const KEPT_SPANS_MS: [u64; 2] = [MINUTE_MS, HOUR_MS];

/// Counts of the new events of a batch, by kept span.
#[derive(Debug, Default)]
pub struct ActivityCounts(BTreeMap<(u64, u64), Counts>);

/// What arrived in a span.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Events that a notification reported.
    pub notifications: u64,
    /// Events with the rank of a failure.
    pub failures: u64,
}

impl Counts {
    /// Returns the counts of one event.
    pub fn of(event: &Event) -> Self {
        Self {
            notifications: u64::from(event.source != Source::Reconcile),
            failures: u64::from(ranks(Class::Retryable).contains(&event.rank)),
        }
    }

    fn add(&mut self, more: Self) {
        self.notifications += more.notifications;
        self.failures += more.failures;
    }
}

impl ActivityCounts {
    /// Counts a new event.
    pub fn add(&mut self, event: &Event) {
        let counts = Counts::of(event);
        if counts == Counts::default() {
            return;
        }
        for span_ms in KEPT_SPANS_MS {
            let start_ms = event.received_at_ms - event.received_at_ms % span_ms;
            self.0.entry((span_ms, start_ms)).or_default().add(counts);
        }
    }

    /// Returns the length and the beginning of each span, and its counts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, Counts)> {
        let spans = self.0.iter();
        spans.map(|((span_ms, start_ms), counts)| (*span_ms, *start_ms, *counts))
    }
}

/// The range of a query, and the kept spans from which it is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ActivityRange {
    /// The length of the spans that are read.
    pub kept_ms: u64,
    /// The beginning of the first one, in milliseconds since 1970.
    pub since_ms: u64,
    /// The end of the last one.
    pub until_ms: u64,
    /// The length of the spans that are returned.
    pub span_ms: u64,
}

impl ActivityRange {
    /// Returns the range of a query.
    pub fn of(query: &ActivityQuery) -> Self {
        let span_ms = MINUTE_MS.saturating_mul(query.span_minutes.max(1).into());
        let kept_ms = if span_ms > HOUR_MS {
            HOUR_MS
        } else {
            MINUTE_MS
        };
        let length_ms = span_ms.saturating_mul(query.spans.into());
        Self {
            kept_ms,
            since_ms: query.since_ms,
            until_ms: query.since_ms.saturating_add(length_ms),
            span_ms,
        }
    }

    /// Adds up kept spans, which are in order, to the spans that are returned.
    pub fn sum(&self, kept: impl IntoIterator<Item = Activity>) -> Vec<Activity> {
        let mut spans: Vec<Activity> = Vec::new();
        for kept in kept {
            let offset_ms = kept.start_ms.saturating_sub(self.since_ms);
            let start_ms = self.since_ms + offset_ms - offset_ms % self.span_ms;
            match spans.last_mut() {
                Some(last) if last.start_ms == start_ms => {
                    last.notifications += kept.notifications;
                    last.failures += kept.failures;
                }
                _ => spans.push(Activity { start_ms, ..kept }),
            }
        }
        spans
    }
}
