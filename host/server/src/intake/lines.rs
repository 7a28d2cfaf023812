//! The log line of a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::outcomes::{Outcome, Refusal};

use super::metrics::outcome_label;
use super::{Caller, outcome};
use crate::bursts::{Bursts, WINDOW};
use crate::component::{Kind, Response};

/// The longest value in a line, in bytes. Ids are a tenth of it; a sender may
/// make them as long as a body.
const VALUE_BYTES_MAX: usize = 512;

/// The target of every line of a request, so that they can be silenced.
const TARGET: &str = "batchtask_host::intake";

/// The fields of a line, at each level that it may have.
macro_rules! line {
    ($level:ident, $caller:ident, $response:ident, $elapsed:ident, $text:literal) => {{
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
            ms = $elapsed.as_secs_f64() * 1e3,
            $text
        );
    }};
}

/// Limits the lines of refused pushes, for each outcome.
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

/// Logs a request. The path is left out: it may contain a secret.
pub(super) fn log(caller: &Caller, response: &Response, elapsed: Duration, refused: &Arc<Bursts>) {
    if caller.kind != Kind::Push {
        line!(debug, caller, response, elapsed, "request");
    } else if response.status < 400 {
        line!(info, caller, response, elapsed, "request");
    } else if refused.admits(outcome_label(response)) {
        line!(warn, caller, response, elapsed, "refused");
    }
}

/// What is wrong, unless it names a query parameter: a caller may put a secret
/// there by mistake.
fn detail(response: &Response) -> Option<Cow<'_, str>> {
    let of_parameter = Some(Outcome::Refusal(Refusal::BadParameter));
    if outcome(response) == of_parameter {
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
    let kept = &text[..text.floor_char_boundary(VALUE_BYTES_MAX)];
    Cow::Owned(format!("{kept}… ({} bytes)", text.len()))
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
