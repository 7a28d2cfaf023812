//! [`Trace`]: a request in its trace.

use std::borrow::Cow;
use std::fmt::Display;

use batchtask_guest::journal::Source;
use batchtask_guest::receiver::Entry;
use batchtask_guest::routes::{Route, View, split};
use batchtask_span::{Context, Kind, OpenSpan, TRACEPARENT, TRACESTATE, Tracer};

use super::Caller;
use crate::component::{Request, Response};

/// A request in its trace, or nothing. Then everything does nothing.
pub(crate) struct Trace(Option<Box<Traced>>);

struct Traced {
    span: OpenSpan,
    decision: Option<OpenSpan>,
    /// The caller asked that the trace is recorded.
    is_asked_for: bool,
}

impl Trace {
    /// Returns that a request has no trace.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Begins the span of a request over HTTP.
    pub(crate) fn of_http<B>(tracer: &Tracer, caller: &Caller, request: &http::Request<B>) -> Self {
        if !tracer.is_on() {
            return Self(None);
        }
        let target = request.uri().path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let fields = request.headers();
        let fields = |name| fields.get_all(name).iter().map(|value| value.as_bytes());
        Self::of_target(tracer, caller, target, parent(fields))
    }

    /// Begins the span of a request in the component's type.
    pub(super) fn of_request(tracer: &Tracer, caller: &Caller, request: &Request) -> Self {
        if !tracer.is_on() {
            return Self(None);
        }
        let fields = |name: &'static str| {
            let fields = request.headers.iter();
            let named = fields.filter(move |(known, _)| known.eq_ignore_ascii_case(name));
            named.map(|(_, value)| &**value)
        };
        Self::of_target(tracer, caller, &request.target, parent(fields))
    }

    /// Begins the span of a message of another channel.
    pub(super) fn of_message(tracer: &Tracer, caller: &Caller) -> Self {
        let channel = caller.method;
        let kind = match caller.source {
            Source::Amqp => Kind::Consumer,
            _ => Kind::Internal,
        };
        let mut trace = Self::begin(tracer, None, kind, || format!("process {channel}").into());
        if let Some(span) = trace.recorded() {
            span.set("batchtask.channel", channel);
        }
        trace
    }

    fn of_target(tracer: &Tracer, caller: &Caller, target: &str, parent: Option<Context>) -> Self {
        // Load balancers ask for these very often.
        if caller.method == "OPTIONS" || split(target).0 == "/health" {
            return Self(None);
        }
        let method = caller.method;
        let name = || match route(target) {
            Some(route) => format!("{method} {route}").into(),
            None => method.into(),
        };
        let mut trace = Self::begin(tracer, parent, Kind::Server, name);
        if let Some(span) = trace.recorded() {
            span.set("http.request.method", method);
            span.set_some("http.route", route(target).map(Cow::into_owned));
            let address = caller.peer.map(|peer| peer.ip().to_string());
            span.set_some("client.address", address);
        }
        trace
    }

    fn begin(
        tracer: &Tracer,
        parent: Option<Context>,
        kind: Kind,
        name: impl FnOnce() -> Cow<'static, str>,
    ) -> Self {
        let is_asked_for = parent.is_some();
        let Some(mut span) = tracer.begin(parent, kind, name) else {
            return Self(None);
        };
        span.keep(!is_asked_for);
        Self(Some(Box::new(Traced {
            span,
            decision: None,
            is_asked_for,
        })))
    }

    /// Returns the span of the request, if it is traced.
    pub(crate) fn span(&self) -> Option<&OpenSpan> {
        self.0.as_ref().map(|traced| &traced.span)
    }

    /// Returns the id of the trace, for log lines.
    pub(crate) fn id(&self) -> Option<impl Display> {
        self.span().map(|span| span.context().trace_id_text())
    }

    /// Returns the span of the request, if it is recorded.
    fn recorded(&mut self) -> Option<&mut OpenSpan> {
        let traced = self.0.as_mut()?;
        Some(&mut traced.span).filter(|span| span.is_recorded())
    }

    /// Records the length of the request's body.
    pub(super) fn has_body(&mut self, bytes: usize) {
        if let Some(span) = self.recorded() {
            span.set("http.request.body.size", bytes);
        }
    }

    /// Begins the span of the component's decision.
    pub(super) fn begin_decision(&mut self) {
        if let Some(traced) = &mut self.0 {
            let mut decision = traced.span.child("decide", Kind::Internal);
            decision.keep(!traced.is_asked_for);
            traced.decision = Some(decision);
        }
    }

    /// Ends the span of the component's decision.
    pub(super) fn end_decision(&mut self) {
        if let Some(traced) = &mut self.0
            && let Some(decision) = &mut traced.decision
        {
            decision.end();
        }
    }

    /// Remembers the trace of an event until it is passed on. Returns its digest if it was
    /// not known.
    pub(super) fn remember(&self, tracer: &Tracer, entry: &Entry) -> Option<Vec<u8>> {
        let (span, Entry::Event(event)) = (self.span()?, entry) else {
            return None;
        };
        let is_new = tracer.remember(&event.digest, span.context());
        is_new.then(|| event.digest.clone())
    }

    /// Ends the span of the request. Strangers cannot fill the collector: if the caller asked
    /// that the trace is recorded, it is only if the request was not refused.
    pub(super) fn end(mut self, caller: &Caller, response: &Response) {
        let Some(traced) = &mut self.0 else {
            return;
        };
        let is_kept = !traced.is_asked_for || response.status < 400;
        traced.span.keep(is_kept);
        if let Some(decision) = &mut traced.decision {
            decision.keep(is_kept);
        }
        if is_kept && let Some(span) = self.recorded() {
            describe(span, caller, response);
        }
    }
}

/// Describes a response, as its log line does.
fn describe(span: &mut OpenSpan, caller: &Caller, response: &Response) {
    let report = &response.report;
    if caller.source == Source::Push {
        span.set("http.response.status_code", response.status);
    }
    span.set("batchtask.outcome", report.outcome.clone());
    span.set_some("batchtask.app_id", report.app_id.clone());
    span.set_some("batchtask.task_id", report.task_id.clone());
    if response.status >= 500 {
        span.set("error.type", report.outcome.clone());
        span.fail(report.outcome.clone());
    }
}

/// Returns the context that came with a request. `fields` returns the values of the fields
/// of this name.
fn parent<'a, I: Iterator<Item = &'a [u8]>>(fields: impl Fn(&'static str) -> I) -> Option<Context> {
    let mut parents = fields(TRACEPARENT);
    let (traceparent, None) = (parents.next()?, parents.next()) else {
        return None;
    };
    let states = fields(TRACESTATE).map(std::str::from_utf8);
    let states: Result<Vec<&str>, _> = states.collect();
    let state = states.map_or_else(|_| String::new(), |states| states.join(","));
    Context::parse(std::str::from_utf8(traceparent).ok()?, &state)
}

/// Returns the route of a target: its path without secrets and ids. `None`: there is no such
/// route.
fn route(target: &str) -> Option<Cow<'static, str>> {
    let (view, path) = View::of(split(target).0);
    let route = match Route::of(path)? {
        Route::Notifications(None) => "/notifications",
        Route::Notifications(Some(_)) => "/notifications/{secret}",
        Route::Tasks if view == View::Page => return Some("/".into()),
        Route::Tasks => "/tasks",
        Route::Task(_) => "/tasks/{app_id}/{task_id}",
        Route::TaskPage => "/task",
        Route::History(_) => "/tasks/{app_id}/{task_id}/events",
        Route::Feed => "/events",
        Route::Quarantine => "/quarantine",
        Route::Reject(_) => "/quarantine/{seq}",
        Route::Activity => "/activity",
        Route::Summary => "/summary",
        Route::Description => "/openapi.json",
        Route::Health => "/health",
        Route::Login => return Some("/login".into()),
        Route::Logout => return Some("/logout".into()),
        Route::Language => return Some("/language".into()),
        Route::Style => "/style.css",
        Route::Script => "/script.js",
        Route::Body => "/body",
        Route::Sinks => "/sinks",
    };
    Some(match view {
        View::Json => route.into(),
        View::Page => format!("/page{route}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_no_secret_and_no_id() {
        for (target, expected) in [
            ("/notifications", Some("/notifications")),
            ("/notifications/hush", Some("/notifications/{secret}")),
            ("//notifications//hush/", Some("/notifications/{secret}")),
            (
                "/notifications/hush?x=hush",
                Some("/notifications/{secret}"),
            ),
            ("/notifications/hush/hush", None),
            ("/notification/hush", None),
            ("/hush", None),
            ("/%hush", None),
            ("/", Some("/")),
            ("/?token=hush", Some("/")),
            ("/login", Some("/login")),
            ("/page/task?app_id=hush", Some("/page/task")),
            ("/tasks/hush/hush", Some("/tasks/{app_id}/{task_id}")),
            (
                "/page/tasks/hush/hush",
                Some("/page/tasks/{app_id}/{task_id}"),
            ),
            (
                "/tasks/hush/hush/events",
                Some("/tasks/{app_id}/{task_id}/events"),
            ),
        ] {
            assert_eq!(route(target).as_deref(), expected, "{target}");
        }
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// The context of a request with these fields.
    fn context(parents: &[&str], states: &[&str]) -> Option<Context> {
        parent(|name| {
            let values = if name == TRACEPARENT { parents } else { states };
            values.iter().map(|value| value.as_bytes())
        })
    }

    #[test]
    fn a_context_is_read_if_there_is_exactly_one() {
        let found = context(&[PARENT], &["a=1", "b=2"]).unwrap();
        assert_eq!(found.traceparent(), PARENT);
        assert_eq!(found.tracestate(), Some("a=1,b=2"));
        for parents in [&[][..], &["hush"], &[PARENT, PARENT]] {
            assert_eq!(context(parents, &["a=1"]), None);
        }
    }
}
