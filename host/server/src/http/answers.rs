//! Converts the component's responses to HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

use super::streams::Stream;
use crate::component::Response;
use crate::reads::{self, Read};

/// The size of the pieces in which hyper's HTTP/2 gets an answer, in bytes. It
/// buffers a piece until the client has room for it.
const PIECE_BYTES: usize = 16 << 10;

/// Converts the component's response to HTTP. The body holds `read` until it has
/// been sent.
pub(crate) fn http_response(response: Response, read: Option<Read>) -> http::Response<Answer> {
    let status = StatusCode::from_u16(response.status);
    let body = match read {
        Some(read) => reads::body(response.body, read),
        None => Bytes::from(response.body),
    };
    let mut answer = http::Response::new(Answer::new(body));
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // The names and values come from the component; invalid ones are skipped.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

/// Returns an answer without a body.
pub(crate) fn empty(status: StatusCode) -> http::Response<Answer> {
    let mut answer = http::Response::new(Answer::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Adds `connection: close` to an answer, so that hyper closes the HTTP/1
/// connection after it.
pub(crate) fn closing(mut answer: http::Response<Answer>) -> http::Response<Answer> {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

/// The body of an answer, sent as a whole over HTTP/1.1, and in pieces over HTTP/2.
pub(crate) struct Answer {
    rest: Bytes,
    stream: Option<Arc<Stream>>,
}

impl Answer {
    fn new(body: Bytes) -> Self {
        let stream = Stream::current();
        if let Some(stream) = &stream {
            stream.moved();
        }
        Self { rest: body, stream }
    }

    /// Takes the next piece. It is a copy, so that it does not keep the whole answer
    /// in memory.
    fn next(&mut self, stream: &Stream) -> Bytes {
        stream.moved();
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = Bytes::copy_from_slice(&self.rest[..length]);
        self.rest.advance(length);
        if self.rest.is_empty() {
            self.rest = Bytes::new();
        }
        piece
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = match self.stream.clone() {
            Some(stream) => self.next(&stream),
            None => std::mem::take(&mut self.rest),
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
