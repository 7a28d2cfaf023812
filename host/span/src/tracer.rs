//! [`Tracer`] and [`Recorder`].

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::random_trace_id;
use crate::origins::Origins;
use crate::{Context, Kind, OpenSpan, Span};

/// What records the spans of a host.
pub trait Recorder: Send + Sync + 'static {
    /// Whether a trace that begins here is recorded. The id is random, so that several
    /// hosts can decide the same.
    fn samples(&self, trace_id: u128) -> bool;

    /// Takes a span. Called by whatever ended it, also while a response waits, so it must be
    /// quick.
    fn record(&self, span: Span);
}

/// Begins traces. Clones share the recorder. The default is off: nothing is recorded, or
/// passed on.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

struct Inner {
    recorder: Box<dyn Recorder>,
    origins: Mutex<Origins>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.is_on()).finish()
    }
}

impl Tracer {
    /// Returns a tracer whose spans `recorder` takes.
    pub fn new(recorder: impl Recorder) -> Self {
        Self(Some(Arc::new(Inner {
            recorder: Box::new(recorder),
            origins: Mutex::default(),
        })))
    }

    /// Whether traces are on.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns whether and how a request is traced. `parent` is the context that came with
    /// it; it decides whether the trace is recorded, and without it the recorder does.
    /// `None`: it has no trace. `name` is called only for a span that is recorded.
    pub fn begin(
        &self,
        parent: Option<Context>,
        kind: Kind,
        name: impl FnOnce() -> Cow<'static, str>,
    ) -> Option<OpenSpan> {
        let inner = self.0.as_ref()?;
        match parent {
            Some(parent) if parent.is_sampled() => {
                let context = parent.child();
                let name = name();
                let span = OpenSpan::begin(self.clone(), context, Some(&parent), name, kind);
                Some(span)
            }
            Some(parent) => Some(OpenSpan::passing_on(parent)),
            None => {
                let trace_id = random_trace_id();
                let is_sampled = inner.recorder.samples(trace_id.get());
                is_sampled.then(|| {
                    let context = Context::root(trace_id);
                    OpenSpan::begin(self.clone(), context, None, name(), kind)
                })
            }
        }
    }

    /// Remembers that an event, named by its digest, came with this context. Returns false
    /// if traces are off, or if another context is remembered already, which is kept.
    pub fn remember(&self, digest: &[u8], context: &Context) -> bool {
        let origins = self.origins();
        origins.is_some_and(|mut origins| origins.remember(digest, context))
    }

    /// Returns the context that an event came with. `None`: it had no trace, another host
    /// stored it, or it was too long ago.
    pub fn recall(&self, digest: &[u8]) -> Option<Context> {
        self.origins()?.recall(digest)
    }

    /// Forgets an event that was not stored.
    pub fn forget(&self, digest: &[u8]) {
        if let Some(mut origins) = self.origins() {
            origins.forget(digest);
        }
    }

    pub(crate) fn record(&self, span: Span) {
        if let Some(inner) = &self.0 {
            inner.recorder.record(span);
        }
    }

    /// Locks the origins. Nothing panics while they are locked.
    fn origins(&self) -> Option<MutexGuard<'_, Origins>> {
        let inner = self.0.as_ref()?;
        Some(inner.origins.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    struct Kept {
        samples: bool,
        spans: Arc<Mutex<Vec<Span>>>,
    }

    impl Recorder for Kept {
        fn samples(&self, _: u128) -> bool {
            self.samples
        }

        fn record(&self, span: Span) {
            self.spans.lock().unwrap().push(span);
        }
    }

    fn tracer(samples: bool) -> (Tracer, Arc<Mutex<Vec<Span>>>) {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let kept = spans.clone();
        let recorder = Kept {
            samples,
            spans: kept,
        };
        (Tracer::new(recorder), spans)
    }

    fn context(text: &str) -> Option<Context> {
        Some(Context::parse(text, "a=b").unwrap())
    }

    fn no_name() -> Cow<'static, str> {
        panic!("no span is recorded")
    }

    #[test]
    fn off_nothing_happens() {
        let tracer = Tracer::default();
        let begun = tracer.begin(context(SAMPLED), Kind::Server, no_name);
        assert!(begun.is_none());
        assert!(!tracer.remember(b"digest", &context(SAMPLED).unwrap()));
        assert_eq!(tracer.recall(b"digest"), None);
    }

    #[test]
    fn the_caller_decides_whether_its_trace_is_recorded() {
        let (tracer, spans) = tracer(false);
        let mut span = tracer
            .begin(context(SAMPLED), Kind::Server, || "a".into())
            .unwrap();
        span.set("number", 7_usize);
        drop(span.child("b", Kind::Internal));
        drop(span);
        let spans = spans.lock().unwrap();
        let [b, a] = &spans[..] else {
            panic!("{spans:?}")
        };
        assert_eq!((&*a.name, a.parent), ("a", Some(0x00f0_67aa_0ba9_02b7)));
        assert_eq!((&*b.name, b.parent), ("b", Some(a.context.span_id())));
        assert_eq!(a.context.trace_id(), b.context.trace_id());
        assert_eq!(a.attributes, [("number", Value::Whole(7))]);
        assert_eq!(a.context.tracestate(), Some("a=b"));
    }

    #[test]
    fn a_trace_that_the_caller_does_not_record_is_only_passed_on() {
        let (tracer, spans) = tracer(true);
        let mut span = tracer
            .begin(context(NOT_SAMPLED), Kind::Server, no_name)
            .unwrap();
        span.set("number", 7_usize);
        let child = span.child("b", Kind::Internal);
        assert_eq!(child.context().traceparent(), NOT_SAMPLED);
        drop((span, child));
        assert!(spans.lock().unwrap().is_empty());
    }

    #[test]
    fn without_a_caller_the_recorder_decides() {
        let (off, _) = tracer(false);
        assert!(off.begin(None, Kind::Server, no_name).is_none());
        let (on, spans) = tracer(true);
        let span = on.begin(None, Kind::Server, || "a".into()).unwrap();
        assert!(span.context().is_sampled());
        drop(span);
        assert_eq!(spans.lock().unwrap()[0].parent, None);
    }

    #[test]
    fn a_span_that_is_not_kept_is_not_recorded() {
        let (tracer, spans) = tracer(true);
        let mut span = tracer.begin(None, Kind::Server, || "a".into()).unwrap();
        span.keep(false);
        drop(span);
        assert!(spans.lock().unwrap().is_empty());
    }
}
