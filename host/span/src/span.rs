//! [`Span`] and [`OpenSpan`].

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use crate::{Context, Tracer};

/// The longest text of an attribute or an error, in bytes. Senders can make an id as long
/// as a body.
const TEXT_BYTES_MAX: usize = 256;
/// The most links of a span. Collectors ignore further ones.
const LINKS_MAX: usize = 128;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its place in the trace.
    pub context: Context,
    /// The id of the span above it. `None`: the trace begins with it.
    pub parent: Option<u64>,
    /// Its name, from a small set.
    pub name: Cow<'static, str>,
    /// The part that it has in an exchange.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What is known of it, by name.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans that it belongs to as well.
    pub links: Vec<Context>,
    /// What failed. `None`: nothing.
    pub error: Option<String>,
}

/// The part that a span has in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is a step within this host.
    Internal,
    /// It answers a request.
    Server,
    /// It waits for the answer to a request.
    Client,
    /// It takes a message of a queue.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Whole(i64),
    /// Any number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    /// Cuts a long text.
    fn from(text: String) -> Self {
        Self::Text(shortened(text).into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for Value {
    /// Returns milliseconds.
    fn from(duration: Duration) -> Self {
        Self::Number(duration.as_secs_f64() * 1e3)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A span that has not ended. When it is dropped, it ends and is recorded. If its trace is
/// not recorded, it only passes the context on, and everything else does nothing.
#[derive(Debug)]
pub struct OpenSpan {
    context: Context,
    /// `None`: it is not recorded.
    recording: Option<Box<Recording>>,
}

#[derive(Debug)]
struct Recording {
    tracer: Tracer,
    span: Span,
    began: Instant,
    has_ended: bool,
    is_kept: bool,
}

impl OpenSpan {
    /// Begins a recorded span.
    pub(crate) fn begin(
        tracer: Tracer,
        context: Context,
        parent: Option<&Context>,
        name: Cow<'static, str>,
        kind: Kind,
    ) -> Self {
        let span = Span {
            context: context.clone(),
            parent: parent.map(Context::span_id),
            name,
            kind,
            start: SystemTime::now(),
            duration: Duration::ZERO,
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        };
        let recording = Recording {
            tracer,
            span,
            began: Instant::now(),
            has_ended: false,
            is_kept: true,
        };
        Self {
            context,
            recording: Some(Box::new(recording)),
        }
    }

    /// Returns a span of a trace that is not recorded.
    pub(crate) fn passing_on(context: Context) -> Self {
        Self {
            context,
            recording: None,
        }
    }

    /// Begins a span below this one.
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        match &self.recording {
            Some(recording) => {
                let (tracer, context) = (recording.tracer.clone(), self.context.child());
                Self::begin(tracer, context, Some(&self.context), name.into(), kind)
            }
            None => Self::passing_on(self.context.clone()),
        }
    }

    /// Returns its place in the trace, to be passed on.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whether it is recorded. Otherwise nothing needs to be set.
    pub fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(recording) = &mut self.recording {
            recording.span.attributes.push((name, value.into()));
        }
    }

    /// Adds an attribute if there is a value.
    pub fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Links it to another span. Only the first 128 links are kept.
    pub fn link(&mut self, context: &Context) {
        if let Some(recording) = &mut self.recording
            && recording.span.links.len() < LINKS_MAX
        {
            recording.span.links.push(context.clone());
        }
    }

    /// Marks it as failed. The text must not contain a secret.
    pub fn fail(&mut self, error: impl Into<String>) {
        if let Some(recording) = &mut self.recording {
            recording.span.error = Some(shortened(error.into()));
        }
    }

    /// Returns how long it has taken so far.
    pub fn elapsed(&self) -> Duration {
        let began = self.recording.as_ref().map(|recording| recording.began);
        began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Ends it. It is recorded later, when it is dropped.
    pub fn end(&mut self) {
        if let Some(recording) = &mut self.recording
            && !recording.has_ended
        {
            recording.has_ended = true;
            recording.span.duration = recording.began.elapsed();
        }
    }

    /// Decides whether it is recorded when it is dropped. At first it is.
    pub fn keep(&mut self, is_kept: bool) {
        if let Some(recording) = &mut self.recording {
            recording.is_kept = is_kept;
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.end();
        if let Some(recording) = self.recording.take()
            && recording.is_kept
        {
            recording.tracer.record(recording.span);
        }
    }
}

/// Cuts a long text between characters.
fn shortened(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("short".into()), "short");
        let long = format!("{}é{}", "x".repeat(255), "y".repeat(9999));
        assert_eq!(shortened(long), format!("{}…", "x".repeat(255)));
    }
}
