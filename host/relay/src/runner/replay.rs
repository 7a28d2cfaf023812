//! [`replay`]: events that were delivered are sent again, one after the other.

use std::time::Duration;

use batchtask_journal::StoredEvent;

use super::work::Worker;
use crate::circuit::RETRY_AFTER_MAX;
use crate::command::Replay;
use crate::scheduler::Outcome;
use crate::status::Board;

/// How many events are read at once.
const READ_EVENTS: u32 = 100;
/// How long to wait after a failure that is the sink's fault, and while it is paused.
const WAIT: Duration = Duration::from_secs(1);

/// Sends the selected events again. Ends when all were accepted or refused.
pub(super) async fn replay(worker: Worker, board: &Board, replay: Replay) {
    let mut after = replay.from.saturating_sub(1);
    while after < replay.to {
        let events = worker
            .journal
            .journal()
            .events_after(after, READ_EVENTS)
            .await;
        let Ok(events) = events else {
            tokio::time::sleep(WAIT).await;
            continue;
        };
        let Some(last) = events.last() else {
            return;
        };
        after = last.seq;
        let is_selected = |event: &&StoredEvent| {
            let filter = &worker.sink.options().filter;
            replay.selects(event) && filter.admits(&event.event)
        };
        for event in events.iter().filter(is_selected) {
            send(&worker, board, event).await;
        }
    }
}

/// Sends an event until the receiver accepts or refuses it.
async fn send(worker: &Worker, board: &Board, event: &StoredEvent) {
    loop {
        if board.status().counts.is_paused {
            tokio::time::sleep(WAIT).await;
            continue;
        }
        let outcome = worker.sink.replay(event).await;
        board.count_replayed(&outcome);
        match outcome {
            Outcome::SinkFailed { retry_after, .. } => {
                tokio::time::sleep(retry_after.unwrap_or(WAIT).clamp(WAIT, RETRY_AFTER_MAX)).await;
            }
            _ => return,
        }
    }
}
