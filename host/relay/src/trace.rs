//! [`DeliveryTrace`]: a delivery in the trace of the request that brought its event.

use batchtask_journal::StoredEvent;
use batchtask_span::{Context, Kind, OpenSpan, Tracer, Value};
use batchtask_webhook::message::Trace;
use http::{StatusCode, Uri};

use crate::scheduler::Outcome;

/// An attempt to deliver an event whose trace is known.
pub(crate) struct DeliveryTrace {
    /// What the event came with.
    origin: Context,
    /// The same as text.
    origin_parent: String,
    span: OpenSpan,
}

impl DeliveryTrace {
    /// Begins the span of an attempt. Returns `None` if the trace of the event is not known.
    pub(crate) fn begin(tracer: &Tracer, sink: &str, event: &StoredEvent) -> Option<Self> {
        let origin = tracer.recall(&event.event.digest)?;
        let name = || format!("deliver {sink}").into();
        let mut span = tracer.begin(Some(origin.clone()), Kind::Client, name)?;
        if span.is_recorded() {
            span.set("batchtask.sink", sink.to_owned());
            span.set("batchtask.seq", Value::Whole(event.seq.cast_signed()));
        }
        Some(Self {
            origin_parent: origin.traceparent(),
            origin,
            span,
        })
    }

    /// Returns what the event came with, for its message: the same in each attempt.
    pub(crate) fn origin(&self) -> Trace<'_> {
        Trace {
            parent: &self.origin_parent,
            state: self.origin.tracestate(),
        }
    }

    /// Returns the context of the attempt, for the header of its request.
    pub(crate) fn context(&self) -> &Context {
        self.span.context()
    }

    /// Records where a request is sent to: not its path, because that may be secret.
    pub(crate) fn sends_to(&mut self, uri: &Uri) {
        if !self.span.is_recorded() {
            return;
        }
        self.span.set("http.request.method", "POST");
        let host = uri.host().map(str::to_owned);
        self.span.set_some("server.address", host);
        self.span.set_some("server.port", uri.port_u16());
    }

    /// Records the status of the answer.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.span.set("http.response.status_code", status.as_u16());
    }

    /// Ends the span.
    pub(crate) fn end(mut self, outcome: &Outcome) {
        let (word, error) = match outcome {
            Outcome::Delivered => ("delivered", None),
            Outcome::Refused(error) => ("refused", Some(error)),
            Outcome::SinkFailed { error, .. } => ("failed", Some(error)),
            Outcome::Unread(error) => ("unread", Some(error)),
            Outcome::Gone => ("gone", None),
        };
        self.span.set("batchtask.outcome", word);
        if let Some(error) = error
            && self.span.is_recorded()
        {
            self.span.set("error.type", word);
            self.span.fail(error.clone());
        }
    }
}
