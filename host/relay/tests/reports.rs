//! Random schedules of digests and alerts: a receiver that fails, a store that fails, and
//! crashes. A model checks each step.
//!
//! - `digests`: every event is in a message.
//! - `alerts`: people know what is true, and no message says what they know.

mod alerts;
mod digests;

use std::time::Duration;

use batchtask_journal::outbox::{SinkChange, SinkState};
use batchtask_journal::{Event, EventFlags, Source, StoredEvent};
use batchtask_notification::Status;
use batchtask_relay::scheduler::Outcome;
use fastrand::Rng;

const EVERY: Duration = Duration::from_secs(60);
const EVERY_MS: u64 = 60_000;

/// The words of some statuses.
const STATUSES: [&str; 6] = [
    "Waitting",
    "Processing",
    "Fail",
    "PartialSuccess",
    "Success",
    "Stopped",
];

fn stored(seq: u64, task: usize, status: &str, now_ms: u64) -> StoredEvent {
    StoredEvent {
        seq,
        event: Event {
            app_id: "app".into(),
            task_id: format!("task-{task}"),
            task_type: "softwareUpgrade".into(),
            status: status.into(),
            status_desc: String::new(),
            event_time: None,
            event_time_ms: None,
            request_id: None,
            digest: seq.to_be_bytes().into(),
            occurred_at_ms: now_ms,
            rank: Status::of(status).rank(),
            received_at_ms: now_ms,
            source: Source::Push,
            signature: None,
            flags: EventFlags::empty(),
            body: Vec::new(),
        },
        late: false,
        duplicates: 0,
        request_ids: Vec::new(),
    }
}

/// The result of a message to a receiver that works or not.
fn outcome(rng: &mut Rng, is_down: bool) -> Outcome {
    let failed = |retry_after| Outcome::SinkFailed {
        error: "down".into(),
        retry_after,
    };
    match rng.u8(..) {
        _ if is_down => failed(None),
        0..=20 => failed(None),
        21..=30 => failed(Some(Duration::from_secs(rng.u64(0..90)))),
        31..=40 => Outcome::Refused("no".into()),
        _ => Outcome::Delivered,
    }
}

/// What every journal does with a change.
fn store(state: &mut SinkState, change: &SinkChange) {
    assert!(change.position >= state.position, "the position goes back");
    state.position = change.position;
    state.paused = change.paused;
    if let Some(memo) = &change.memo {
        state.memo.clone_from(memo);
    }
}
