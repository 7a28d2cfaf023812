//! Converts the component's responses to HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::stream::Answering;
use super::streams::Stream;
use crate::component::Response;
use crate::reads::{self, Read};

/// The size of the pieces in which hyper's HTTP/2 gets an answer, in bytes. It
/// buffers a piece until the client has room for it.
const PIECE_BYTES: usize = 16 << 10;

/// Converts the component's response to HTTP. The body holds `read` until it has
/// been sent.
pub(crate) fn http_response(response: Response, read: Option<Read>) -> http::Response<Answer> {
    let Response {
        status,
        headers,
        body,
        ..
    } = response;
    let body = match read {
        Some(read) => reads::body(body, read),
        None => Bytes::from(body),
    };
    with_head(status, headers, Answer::new(body))
}

/// Returns an answer with the component's status and header fields.
pub(crate) fn with_head<B>(
    status: u16,
    headers: Vec<(String, String)>,
    body: B,
) -> http::Response<B> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
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
    /// What follows, if the answer is a live stream.
    live: Option<Live>,
}

/// The rest of a live stream.
struct Live {
    pieces: mpsc::Receiver<Bytes>,
    /// The HTTP/1.1 connection, which is not idle before the end.
    answering: Option<Answering>,
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(answering) = &self.answering {
            answering.set(false);
        }
    }
}

impl Answer {
    fn new(body: Bytes) -> Self {
        let stream = Stream::current();
        if let Some(stream) = &stream {
            stream.moved();
        }
        Self {
            rest: body,
            stream,
            live: None,
        }
    }

    /// Returns the body of a live stream: a text, and then pieces as they come.
    pub(crate) fn live(opening: &'static str, pieces: mpsc::Receiver<Bytes>) -> Self {
        let answering = None;
        Self {
            live: Some(Live { pieces, answering }),
            ..Self::new(Bytes::from_static(opening.as_bytes()))
        }
    }

    /// Ends the answering on an HTTP/1.1 connection: now, or at the end of a live
    /// stream.
    pub(crate) fn end_answering(&mut self, answering: Answering) {
        match &mut self.live {
            Some(live) => live.answering = Some(answering),
            None => answering.set(false),
        }
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
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            let Some(live) = &mut self.live else {
                return Poll::Ready(None);
            };
            let Some(piece) = ready!(live.pieces.poll_recv(context)) else {
                self.live = None;
                return Poll::Ready(None);
            };
            self.rest = piece;
        }
        let piece = match self.stream.clone() {
            Some(stream) => self.next(&stream),
            None => std::mem::take(&mut self.rest),
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.live.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.live {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(self.rest.len() as u64),
        }
    }
}
