//! The component's responses as HTTP.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;

use crate::component::Response;
use crate::reads::{self, Read};

/// The component's response as HTTP. The body of a read keeps its place among
/// the reads until it was sent.
pub(crate) fn http_response(response: Response, read: Option<Read>) -> http::Response<Full<Bytes>> {
    let status = StatusCode::from_u16(response.status);
    let body = match read {
        Some(read) => reads::body(response.body, read),
        None => Bytes::from(response.body),
    };
    let mut answer = http::Response::new(Full::new(body));
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // The component makes the names and values; invalid ones are skipped.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// The answer to what is not a request.
pub(crate) fn bad_request() -> http::Response<Full<Bytes>> {
    let mut answer = http::Response::new(Full::default());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}
