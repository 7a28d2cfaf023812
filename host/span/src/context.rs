//! [`Context`]: the place of a span in a trace.

use std::fmt::{self, Display};
use std::num::NonZero;
use std::sync::Arc;

/// The header field with the ids of a trace and a span.
pub const TRACEPARENT: &str = "traceparent";
/// The header field with what other tracing systems add.
pub const TRACESTATE: &str = "tracestate";

/// The length of `traceparent` in version 00, in bytes.
const LENGTH: usize = 55;
/// The longest `tracestate` that is passed on, in bytes. W3C asks for at least this many.
const STATE_BYTES_MAX: usize = 512;
/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The place of a span in a trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/)
/// passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The id of the trace.
    trace_id: NonZero<u128>,
    /// The id of the span.
    span_id: NonZero<u64>,
    /// Whether the trace is recorded.
    is_sampled: bool,
    state: Option<Arc<str>>,
}

impl Context {
    /// Returns the first context of a trace that begins here and is recorded.
    pub(crate) fn root(trace_id: NonZero<u128>) -> Self {
        Self {
            trace_id,
            span_id: random_id(),
            is_sampled: true,
            state: None,
        }
    }

    /// Returns the context of a new span in the same trace.
    pub(crate) fn child(&self) -> Self {
        Self {
            span_id: random_id(),
            ..self.clone()
        }
    }

    /// Parses the values of the fields `traceparent` and `tracestate`. Returns `None` if
    /// `traceparent` is invalid: then a new trace begins. A `tracestate` that cannot be
    /// passed on is left out.
    pub fn parse(traceparent: &str, tracestate: &str) -> Option<Self> {
        let (ids, rest) = traceparent.as_bytes().split_at_checked(LENGTH)?;
        let ids = std::str::from_utf8(ids).ok()?;
        let mut parts = ids.split('-');
        let version = hexadecimal(parts.next()?, 2)?;
        let trace_id = hexadecimal(parts.next()?, 32)?;
        let span_id = u64::try_from(hexadecimal(parts.next()?, 16)?).ok()?;
        let flags = hexadecimal(parts.next()?, 2)?;
        // A newer version may have more after a hyphen.
        let is_known = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !is_known {
            return None;
        }
        Some(Self {
            trace_id: NonZero::new(trace_id)?,
            span_id: NonZero::new(span_id)?,
            is_sampled: flags & u128::from(SAMPLED) != 0,
            state: state(tracestate),
        })
    }

    /// Returns the value of the field `traceparent`.
    pub fn traceparent(&self) -> String {
        let flags = if self.is_sampled { SAMPLED } else { 0 };
        let (trace_id, span_id) = (self.trace_id, self.span_id);
        format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }

    /// Returns the value of the field `tracestate`, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// Returns the id of the trace. It is not 0.
    pub fn trace_id(&self) -> u128 {
        self.trace_id.get()
    }

    /// Returns the id of the span. It is not 0.
    pub fn span_id(&self) -> u64 {
        self.span_id.get()
    }

    /// Returns the id of the trace in hexadecimal digits, as log lines show it.
    pub fn trace_id_text(&self) -> impl Display {
        struct Text(u128);
        impl Display for Text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        Text(self.trace_id.get())
    }
}

/// Returns a random id of a trace.
pub(crate) fn random_trace_id() -> NonZero<u128> {
    // 0 is not an id.
    NonZero::new(fastrand::u128(..)).unwrap_or(NonZero::<u128>::MIN)
}

fn random_id() -> NonZero<u64> {
    NonZero::new(fastrand::u64(..)).unwrap_or(NonZero::<u64>::MIN)
}

/// Parses exactly this many lower-case hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

fn state(text: &str) -> Option<Arc<str>> {
    let is_printable = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
    let is_kept =
        !text.trim().is_empty() && text.len() <= STATE_BYTES_MAX && text.bytes().all(is_printable);
    is_kept.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_passed_on_as_it_came() {
        for flags in ["00", "01"] {
            let text = VALID.replace("-01", &format!("-{flags}"));
            let context = Context::parse(&text, "congo=t61rcWkgMzE,rojo=1").unwrap();
            assert_eq!(context.traceparent(), text);
            assert_eq!(context.tracestate(), Some("congo=t61rcWkgMzE,rojo=1"));
            assert_eq!(context.is_sampled(), flags == "01");
            let id = context.trace_id_text().to_string();
            assert_eq!(id, "4bf92f3577b34da6a3ce929d0e0e4736");
        }
    }

    #[test]
    fn only_known_flags_are_passed_on() {
        let text = VALID.replace("-01", "-ff");
        assert_eq!(Context::parse(&text, "").unwrap().traceparent(), VALID);
    }

    #[test]
    fn a_newer_version_may_be_longer() {
        for rest in ["", "-", "-what-the-future-will-be-like"] {
            let text = format!("cc{}{rest}", &VALID[2..]);
            assert_eq!(Context::parse(&text, "").unwrap().traceparent(), VALID);
        }
    }

    #[test]
    fn an_invalid_context_is_ignored() {
        let upper = VALID.to_uppercase();
        let version = format!("ff{}", &VALID[2..]);
        let newer = format!("cc{}.x", &VALID[2..]);
        let longer = format!("{VALID}-01");
        let no_trace = VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let no_span = VALID.replace("00f067aa0ba902b7", &"0".repeat(16));
        let plus = VALID.replace("-4b", "-+b");
        let shifted = VALID.replace("4736-0", "473-60");
        let cut = &VALID[..VALID.len() - 1];
        let accent = VALID.replace("0e0e", "0é0");
        for text in [
            "", "00", &upper, &version, &newer, &longer, &no_trace, &no_span, &plus, &shifted, cut,
            &accent,
        ] {
            assert_eq!(Context::parse(text, "a=b"), None, "{text}");
        }
    }

    #[test]
    fn a_state_that_cannot_be_passed_on_is_left_out() {
        let long = "a".repeat(STATE_BYTES_MAX + 1);
        for text in ["", " ", "a=\u{1}", "a=é", "a=b\r\nx: y", &long] {
            let context = Context::parse(VALID, text).unwrap();
            assert_eq!(context.tracestate(), None, "{text}");
        }
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let context = Context::parse(VALID, "a=b").unwrap();
        let child = context.child();
        assert_eq!(child.trace_id(), context.trace_id());
        assert_eq!(child.tracestate(), Some("a=b"));
        assert_ne!(child.span_id(), context.span_id());
    }
}
