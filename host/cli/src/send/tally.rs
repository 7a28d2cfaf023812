//! Counts the answers, and reports them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Plan, SendError};
use crate::answer::{Answer, ClientError, Refusal};
use crate::table::{Table, write_row};

/// The receiver counts as unreachable after this many unanswered requests in a row.
/// The platform uses the same number.
const MISSES_MAX: u64 = 10;

/// Counts of answers.
#[derive(Default)]
pub(super) struct Tally {
    /// The answers by status and outcome.
    outcomes: BTreeMap<(u16, String), Outcome>,
    /// The number of unanswered requests.
    unanswered: u64,
    /// The number of unanswered requests since the last answer.
    misses: u64,
    /// Why the first unanswered request was not answered.
    reason: String,
    latencies: Vec<Duration>,
    duration: Duration,
    interrupted: bool,
}

/// The answers with the same status and outcome.
#[derive(Default)]
struct Outcome {
    count: u64,
    /// The detail of the first refusal.
    detail: String,
}

impl Tally {
    /// Counts the result of a request.
    pub(super) fn add(&mut self, answer: Result<Answer, ClientError>, latency: Duration) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if self.unanswered == 0 {
                    self.reason = format!("{:#}", anyhow::Error::from(error));
                }
                self.unanswered += 1;
                self.misses += 1;
                return;
            }
        };
        self.misses = 0;
        self.latencies.push(latency);
        let (label, detail) = read(&answer);
        let outcome = self.outcomes.entry((answer.status.as_u16(), label));
        let outcome = outcome.or_default();
        outcome.count += 1;
        if outcome.count == 1 {
            outcome.detail = detail;
        }
    }

    /// Whether the receiver is unreachable, so that further requests are useless.
    pub(super) fn is_unreachable(&self) -> bool {
        self.misses >= MISSES_MAX || self.misses > 0 && self.latencies.is_empty()
    }

    /// Finishes counting. `duration` is the time that all requests took.
    pub(super) fn finish(mut self, duration: Duration, interrupted: bool) -> Self {
        self.latencies.sort_unstable();
        Self {
            duration,
            interrupted,
            ..self
        }
    }

    /// Returns an error unless all requests were answered 200.
    pub(super) fn verdict(&self) -> Result<(), SendError> {
        let (sent, refused) = (self.sent(), self.refused());
        if self.unanswered > 0 {
            return Err(SendError::Unanswered {
                unanswered: self.unanswered,
                sent,
                reason: self.reason.clone(),
            });
        }
        if refused > 0 {
            return Err(SendError::Refused { refused, sent });
        }
        if self.interrupted {
            return Err(SendError::Interrupted { sent });
        }
        Ok(())
    }

    /// Writes the report as text.
    pub(super) fn write(&self, out: &mut impl Write, plan: &Plan) -> io::Result<()> {
        let mut table = Table::new(["OUTCOME", "STATUS", "COUNT", ""]);
        for ((status, label), outcome) in &self.outcomes {
            let (status, count) = (status.to_string(), outcome.count.to_string());
            table.push([label, &status, &count, &outcome.detail]);
        }
        if self.unanswered > 0 {
            table.push(["unanswered", "", &self.unanswered.to_string(), &self.reason]);
        }
        table.write(out)?;
        writeln!(out)?;
        let seconds = self.duration.as_secs_f64();
        let rate = self.sent() as f64 / seconds.max(0.001);
        let sent = format!("{} in {seconds:.1} s, {rate:.0} per second", self.sent());
        let mut lines = vec![("sent", sent)];
        if !self.latencies.is_empty() {
            let (p50, p99) = (self.latency_ms(50), self.latency_ms(99));
            lines.push(("latency", format!("p50 {p50:.1} ms, p99 {p99:.1} ms")));
        }
        if let Plan::Lives(lives) = plan {
            let ends = lives.ends().iter();
            let ends: Vec<String> = ends.map(|(end, tasks)| format!("{tasks} {end}")).collect();
            lines.push(("tasks", ends.join(", ")));
            lines.push(("seed", lives.seed().to_string()));
        }
        for (name, value) in lines {
            write_row(out, &[name.into(), value], &[7, 0])?;
        }
        Ok(())
    }

    /// Returns the report as JSON.
    pub(super) fn json(&self, plan: &Plan) -> Value {
        let outcomes = self.outcomes.iter().map(|((status, label), outcome)| {
            let detail = Some(&outcome.detail).filter(|detail| !detail.is_empty());
            json!({"outcome": label, "status": status, "count": outcome.count, "detail": detail})
        });
        let mut report = json!({
            "sent": self.sent(),
            "unanswered": self.unanswered,
            "outcomes": outcomes.collect::<Vec<_>>(),
            "seconds": self.duration.as_secs_f64(),
            "latency_ms": {"p50": self.latency_ms(50), "p99": self.latency_ms(99)},
        });
        if let Plan::Lives(lives) = plan {
            report["tasks"] = json!(lives.ends());
            report["seed"] = json!(lives.seed());
        }
        report
    }

    fn sent(&self) -> u64 {
        self.latencies.len() as u64 + self.unanswered
    }

    fn refused(&self) -> u64 {
        let refused = self
            .outcomes
            .iter()
            .filter(|((status, _), _)| *status != 200);
        refused.map(|(_, outcome)| outcome.count).sum()
    }

    /// Returns a percentile of the latencies, or 0 if there are no answers.
    fn latency_ms(&self, percentile: usize) -> f64 {
        let rank = (self.latencies.len() * percentile).div_ceil(100);
        let latency = self.latencies.get(rank.saturating_sub(1));
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Returns the outcome of an answer, and the detail of a refusal.
fn read(answer: &Answer) -> (String, String) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Receipt {
        outcome: String,
    }
    if answer.status != StatusCode::OK {
        let refusal = Refusal::of(answer);
        let advice = match refusal.status {
            401 => " (check BATCHTASK_TOKEN, and the clock)",
            404 => " (check BATCHTASK_PATH_SECRET and the URL)",
            _ => "",
        };
        return (refusal.label, refusal.detail + advice);
    }
    let receipt: Receipt = serde_json::from_slice(&answer.body).unwrap_or_default();
    match receipt.outcome.as_str() {
        "" => ("other".into(), String::new()),
        outcome => (outcome.into(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, body: &'static str) -> Result<Answer, ClientError> {
        Ok(Answer {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from(body),
        })
    }

    fn miss() -> Result<Answer, ClientError> {
        Err(ClientError::TooSlow { url: "u".into() })
    }

    fn plan() -> Plan {
        let body = Bytes::new();
        Plan::Same { body, count: 1 }
    }

    #[test]
    fn answers_are_counted_by_outcome_and_each_refusal_is_shown_once() {
        let mut tally = Tally::default();
        let refusal = r#"{"type":"urn:batchtask:problem:overloaded","detail":"busy"}"#;
        tally.add(
            answer(200, r#"{"outcome":"recorded"}"#),
            Duration::from_millis(1),
        );
        tally.add(answer(200, "hello"), Duration::from_millis(2));
        tally.add(answer(503, refusal), Duration::from_millis(3));
        tally.add(answer(503, refusal), Duration::from_millis(4));
        let tally = tally.finish(Duration::from_secs(2), false);
        let mut out = Vec::new();
        tally.write(&mut out, &plan()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "OUTCOME     STATUS  COUNT\nother       200     1\nrecorded    200     1\n\
             overloaded  503     2      busy\n\n\
             sent     4 in 2.0 s, 2 per second\nlatency  p50 2.0 ms, p99 4.0 ms\n"
        );
        assert_eq!(tally.json(&plan())["outcomes"][2]["count"], 2);
        assert!(matches!(
            tally.verdict(),
            Err(SendError::Refused {
                refused: 2,
                sent: 4
            })
        ));
    }

    #[test]
    fn a_receiver_is_unreachable_after_a_miss_at_first_or_many_misses_in_a_row() {
        let mut tally = Tally::default();
        assert!(!tally.is_unreachable());
        tally.add(miss(), Duration::ZERO);
        assert!(tally.is_unreachable());
        tally.add(answer(200, "{}"), Duration::ZERO);
        for _ in 0..MISSES_MAX {
            assert!(!tally.is_unreachable());
            tally.add(miss(), Duration::ZERO);
        }
        assert!(tally.is_unreachable());
        assert!(matches!(
            tally.verdict(),
            Err(SendError::Unanswered {
                unanswered: 11,
                sent: 12,
                ..
            })
        ));
    }
}
