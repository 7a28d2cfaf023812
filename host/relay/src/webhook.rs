//! [`Webhook`]: posts events to a URL.
//!
//! - `options`: [`WebhookOptions`], and their checks.
//! - `request`: the requests for events and alerts.
//! - `alerts`: alerts as a message.

pub(crate) mod alerts;
mod options;
mod request;

use std::time::SystemTime;

use batchtask_journal::StoredEvent;
use batchtask_webhook::message::{self, Message};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

pub(crate) use self::options::field;
pub use self::options::{Mode, WebhookOptions};

use self::options::Target;
use crate::backoff::milliseconds;
use crate::egress::{HttpClient, failed};
use crate::error::OptionError;
use crate::report::Report;
use crate::scheduler::Outcome;
use crate::trace::DeliveryTrace;

/// A client of one receiver.
pub(crate) struct Webhook {
    client: HttpClient,
    target: Target,
}

impl Webhook {
    /// Returns a client that keeps up to `connections` idle connections.
    pub(crate) fn new(options: &WebhookOptions, connections: usize) -> Result<Self, OptionError> {
        let client = HttpClient::new(&options.http, connections)?;
        let target = Target::new(options, client.uri().clone())?;
        Ok(Self { client, target })
    }

    /// Sends an event.
    pub(crate) async fn deliver(
        &self,
        event: &StoredEvent,
        mut trace: Option<&mut DeliveryTrace>,
    ) -> Outcome {
        let origin = trace.as_deref().map(DeliveryTrace::origin);
        let mut request = request::of_event(&self.target, event, origin, now_s());
        if let Some(trace) = trace.as_deref_mut() {
            trace.sends_to(&self.target.uri);
            request = request.map(|request| request::mark_trace(request, trace.context()));
        }
        self.send_traced(request, trace).await
    }

    /// Sends an event that was delivered before, and says so in the header.
    pub(crate) async fn replay(&self, event: &StoredEvent) -> Outcome {
        let request = request::of_event(&self.target, event, None, now_s());
        self.send(request.map(request::mark_replay)).await
    }

    /// Sends a message that reports nothing.
    pub(crate) async fn test(&self) -> Outcome {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.post(&message::of_test(milliseconds(since))).await
    }

    /// Sends alerts, as one message.
    pub(crate) async fn report(&self, sink: &str, report: &Report) -> Outcome {
        match alerts::message(sink, report) {
            Some(message) => self.post(&message).await,
            None => self.test().await,
        }
    }

    /// Sends a message.
    async fn post(&self, message: &Message) -> Outcome {
        self.send(request::of_message(&self.target, message, now_s()))
            .await
    }

    async fn send(&self, request: Result<Request<Full<Bytes>>, http::Error>) -> Outcome {
        self.send_traced(request, None).await
    }

    async fn send_traced(
        &self,
        request: Result<Request<Full<Bytes>>, http::Error>,
        trace: Option<&mut DeliveryTrace>,
    ) -> Outcome {
        let request = match request {
            Ok(request) => request,
            // Such as an id with a control character, in binary mode.
            Err(error) => return Outcome::Refused(format!("there is no request: {error}")),
        };
        match self.client.exchange(request).await {
            Ok(answer) => {
                if let Some(trace) = trace {
                    trace.answered(answer.status);
                }
                answer.outcome(|text| self.shows_secret(text))
            }
            Err(error) => failed(error),
        }
    }

    fn shows_secret(&self, text: &str) -> bool {
        self.client.shows_url(text) || self.target.shows_field(text)
    }
}

/// Returns the seconds since 1970 by the host's clock.
pub(crate) fn now_s() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_secs()
}
