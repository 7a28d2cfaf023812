//! The log line of a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::outcomes::{Outcome, Refusal};

use super::metrics::outcome_label;
use super::{Caller, Trace, outcome};
use crate::bursts::{Bursts, WINDOW};
use crate::component::{Kind, Response};

/// The longest value in a line, in bytes. Genuine ids are about a tenth of this,
/// but a sender can make an id as long as the body.
const VALUE_BYTES_MAX: usize = 512;

/// The log target of all request lines, so that a filter can select them.
const TARGET: &str = "batchtask_host::intake";

/// Logs a request line at the level `$level`.
macro_rules! line {
    ($level:ident, $caller:ident, $response:ident, $elapsed:ident, $trace:ident, $text:literal) => {{
        let report = &$response.report;
        let [app_id, task_id] = [&report.app_id, &report.task_id].map(shortened);
        tracing::$level!(
            target: TARGET,
            method = $caller.method,
            peer = $caller.peer.map(tracing::field::display),
            status = $response.status,
            outcome = shortened_text(&report.outcome).as_ref(),
            app_id = app_id.as_deref(),
            task_id = task_id.as_deref(),
            detail = detail($response).as_deref(),
            signature = shortened(&report.signature).as_deref(),
            ms = (($elapsed.as_secs_f64() * 1e6).round() / 1e3),
            trace_id = $trace.id().map(tracing::field::display),
            $text
        );
    }};
}

/// Creates the limit for log lines of refused pushes, by outcome.
pub(super) fn bursts() -> Arc<Bursts> {
    Bursts::new(|outcome, more| {
        tracing::warn!(
            target: TARGET,
            outcome,
            "… {more} more refused in the last {} s",
            WINDOW.as_secs()
        );
    })
}

/// Logs a request, without its path, because that may contain a secret.
pub(super) fn log(
    caller: &Caller,
    response: &Response,
    elapsed: Duration,
    trace: &Trace,
    refused: &Arc<Bursts>,
) {
    if caller.kind != Kind::Push {
        line!(debug, caller, response, elapsed, trace, "request");
    } else if response.status < 400 {
        line!(info, caller, response, elapsed, trace, "request");
    } else if refused.admits(outcome_label(response)) {
        line!(warn, caller, response, elapsed, trace, "refused");
    }
}

/// Returns what is wrong with a request. Returns `None` if the text names a query
/// parameter, because a client may have put a secret there by mistake.
fn detail(response: &Response) -> Option<Cow<'_, str>> {
    let bad_parameter = Some(Outcome::Refusal(Refusal::BadParameter));
    if outcome(response) == bad_parameter {
        return None;
    }
    shortened(&response.report.detail)
}

fn shortened(value: &Option<String>) -> Option<Cow<'_, str>> {
    value.as_deref().map(shortened_text)
}

fn shortened_text(text: &str) -> Cow<'_, str> {
    if text.len() <= VALUE_BYTES_MAX {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(VALUE_BYTES_MAX)];
    Cow::Owned(format!("{start}… ({} bytes)", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(shortened_text("1a7ffc5c"), "1a7ffc5c");
        let whole = "x".repeat(VALUE_BYTES_MAX);
        assert_eq!(shortened_text(&whole), whole);
        let long = format!("{}é{}", &whole[1..], "y".repeat(1_500_000));
        let cut = shortened_text(&long);
        assert_eq!(cut, format!("{}… (1500513 bytes)", &whole[1..]));
    }
}
