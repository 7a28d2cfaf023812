//! The feed as server-sent events: `GET /events` with `Accept: text/event-stream`.
//!
//! The component checks the request, as it does for each read of the feed. A stream
//! then waits without an instance and without the slot of a read, because it may be open
//! for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_guest::percent;
use batchtask_guest::views;
use batchtask_journal::{GroupCommit, StoredEvent};
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue, Method};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::answers::Answer;
use super::drain::Watcher;
use crate::telemetry::{GaugeGuard, Registry};

/// The field with which a client continues after the last event that it got.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The greatest number of events in a piece of a stream.
const PIECE_EVENTS: u32 = 100;
/// A stream that has nothing to say says so this often, so that a lost connection is
/// noticed, and the client sees a sign of life.
const PULSE: Duration = Duration::from_secs(5);
/// A stream ends after this time. A client continues with another request, whose token
/// is checked again.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Begins a stream: after a lost connection, a client waits for two seconds.
const OPENING: &str = "retry: 2000\n\n";

/// The streams of a server.
pub(super) struct LiveStreams {
    permits: Arc<Semaphore>,
    open: IntGauge,
}

/// The place of one stream. It is free again when this is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl LiveStreams {
    pub(super) fn register(max: u32, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            permits: Arc::new(Semaphore::new(max as usize)),
            open: registry.gauge("batchtask_live_streams", "Live streams of events open now.")?,
        })
    }

    /// Returns a place, or `None` if there are too many streams.
    pub(super) fn enter(&self) -> Option<Place> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        Some(Place {
            _permit: permit,
            _counted: GaugeGuard::new(&self.open),
        })
    }
}

/// Returns the `seq` after which a stream begins, or `None` if the request is for
/// another resource or another form.
pub(super) fn requested<B>(request: &http::Request<B>) -> Option<u64> {
    let accepted = request.headers().get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let is_stream = request.method() == Method::GET
        && request.uri().path() == "/events"
        && accepted.any(|value| value.contains("text/event-stream"));
    is_stream.then(|| last_id(request.headers()).unwrap_or_else(|| after(request.uri().query())))
}

fn last_id(headers: &HeaderMap) -> Option<u64> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

fn after(query: Option<&str>) -> u64 {
    let mut pairs = query.unwrap_or_default().split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix("after="));
    let value = value.and_then(percent::decode);
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Returns the target of the request that checks whether a stream is allowed.
pub(super) fn check_target(after: u64) -> http::Uri {
    let target = format!("/events?after={after}&limit=1");
    target.parse().unwrap_or_default()
}

/// Returns the answer that streams the events after `after`, until the client or the
/// listener ends it. `write_time` is how long a client may take no part of it.
pub(super) fn answer(
    journal: Arc<GroupCommit>,
    after: u64,
    place: Place,
    watcher: Watcher,
    write_time: Duration,
) -> http::Response<Answer> {
    let (sender, pieces) = mpsc::channel(1);
    let pulse = PULSE.min(write_time / 2);
    tokio::spawn(async move {
        tokio::select! {
            () = stream(&journal, after, &sender, pulse) => {}
            () = sender.closed() => {}
            () = watcher.closing() => {}
            () = tokio::time::sleep(LIFE) => {}
        }
        drop(place);
    });
    let mut answer = http::Response::new(Answer::live(OPENING, pieces));
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        // Asks nginx not to collect the answer.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Sends events until the journal fails or the client is gone.
async fn stream(
    journal: &GroupCommit,
    mut after: u64,
    sender: &mpsc::Sender<Bytes>,
    pulse: Duration,
) {
    let wait_ms = u32::try_from(pulse.as_millis()).unwrap_or(u32::MAX);
    loop {
        let asked = Instant::now();
        let Ok(events) = journal.follow(after, PIECE_EVENTS, wait_ms).await else {
            return;
        };
        let piece = match events.last() {
            Some(last) => {
                after = last.seq;
                piece(&events)
            }
            None => {
                // The journal does not wait if too many others do.
                tokio::time::sleep(pulse.saturating_sub(asked.elapsed())).await;
                ":\n\n".into()
            }
        };
        if sender.send(piece).await.is_err() {
            return;
        }
    }
}

fn piece(events: &[StoredEvent]) -> Bytes {
    let mut piece = Vec::new();
    for stored in events {
        piece.extend_from_slice(format!("id: {}\ndata: ", stored.seq).as_bytes());
        piece.extend_from_slice(&views::event(stored));
        piece.extend_from_slice(b"\n\n");
    }
    piece.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> http::Request<()> {
        let builder = http::Request::get(target);
        let builder = headers.iter().fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        });
        builder.body(()).unwrap()
    }

    #[test]
    fn a_stream_is_requested_by_its_media_type() {
        let stream = ("accept", "text/event-stream");
        for (target, headers, expected) in [
            ("/events", &[stream][..], Some(0)),
            ("/events?after=7", &[stream], Some(7)),
            ("/events?limit=1&after=%37", &[stream], Some(7)),
            (
                "/events?after=7",
                &[stream, ("last-event-id", "9")],
                Some(9),
            ),
            (
                "/events?after=7",
                &[stream, ("last-event-id", "x")],
                Some(7),
            ),
            ("/events", &[("accept", "*/*")], None),
            ("/events", &[], None),
            ("/tasks", &[stream], None),
        ] {
            assert_eq!(requested(&request(target, headers)), expected, "{target}");
        }
    }
}
