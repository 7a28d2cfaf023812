//! Answers on their way out: as HTTP, and as a line of the log.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;

use crate::reads::{self, Read};
use crate::receiver::Response;

/// What the component answered, as HTTP.
pub(crate) fn http_response(response: Response, read: Option<Read>) -> http::Response<Full<Bytes>> {
    let status = StatusCode::from_u16(response.status);
    let body = match read {
        Some(read) => reads::body(response.body, read),
        None => Bytes::from(response.body),
    };
    let mut answer = http::Response::new(Full::new(body));
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // What the component sends are names and values of its own making; one
        // that is none is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// The answer to what is no request.
pub(crate) fn bad_request() -> http::Response<Full<Bytes>> {
    let mut answer = http::Response::new(Full::default());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

/// The name of a method, for logs and metrics: a caller may make up any.
pub(crate) fn known(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| method == known);
    known.unwrap_or("other")
}

/// One line a request. The path is left out: it may hold a secret.
pub(crate) fn log(method: &str, response: &Response, elapsed: Duration) {
    let report = &response.report;
    tracing::info!(
        method,
        status = response.status,
        outcome = report.outcome,
        app_id = report.app_id,
        task_id = report.task_id,
        detail = report.detail,
        signature = report.signature,
        ms = elapsed.as_secs_f64() * 1e3,
        "request"
    );
}
