//! Reads the body of a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use batchtask_guest::outcomes::Refusal;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

/// Why a body could not be read.
pub(crate) struct Unreadable {
    pub(crate) refusal: Refusal,
    /// For the operator.
    pub(crate) detail: Option<String>,
}

/// The longest body that does not need room from the budget, in bytes: twice as
/// long as a genuine push.
pub(crate) const SHORT_BYTES: usize = 8 << 10;

/// How much of a body is discarded, in bytes.
const DISCARDED_BYTES: u64 = 8 << 20;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// How long to wait for the next piece.
const DISCARD_PAUSE: Duration = Duration::from_millis(100);

/// A body that is being read.
pub(crate) struct Body {
    incoming: Incoming,
    /// The first piece.
    first: Bytes,
    /// All pieces, if there is more than one.
    all: BytesMut,
    limit: usize,
    /// How many bytes may be held in memory. The last piece may exceed it.
    room: usize,
    is_whole: bool,
    /// Whether the client sends it only when it is asked for it (`Expect`).
    is_held_back: bool,
}

impl Body {
    /// Creates a body of at most `limit` bytes, which has not been read.
    pub(crate) fn new(incoming: Incoming, limit: usize, is_held_back: bool) -> Self {
        Self {
            is_whole: incoming.is_end_stream(),
            is_held_back,
            incoming,
            first: Bytes::new(),
            all: BytesMut::new(),
            limit,
            room: SHORT_BYTES,
        }
    }

    /// Lowers the limit.
    pub(crate) fn limit_to(&mut self, limit: usize) {
        self.limit = self.limit.min(limit);
    }

    /// Whether the declared length is short.
    pub(crate) fn is_short(&self) -> bool {
        self.declared() <= SHORT_BYTES.min(self.limit) as u64
    }

    /// Whether the body has been read completely.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Allows the whole body to be held in memory.
    pub(crate) fn give_room(&mut self) {
        self.room = self.limit;
    }

    /// Reads to the end, or until there is no room for more.
    pub(crate) async fn read(&mut self) -> Result<(), Unreadable> {
        // Copy the first piece, because it may keep a buffer of the connection alive.
        self.first = Bytes::copy_from_slice(&self.first);
        poll_fn(|context| self.poll(context)).await
    }

    /// Reads a short body to the end, if it has arrived already. Returns `None` if
    /// it has not.
    pub(crate) async fn read_at_once(&mut self) -> Option<Result<(), Unreadable>> {
        if self.is_held_back || !self.is_short() {
            return None;
        }
        let mut asked = false;
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(Ok(())) if !self.is_whole => Poll::Ready(None),
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending if asked => Poll::Ready(None),
            Poll::Pending => {
                // The connection provides what it has received after it was polled once.
                asked = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await
    }

    /// Takes the bytes that were read.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if self.all.is_empty() {
            return std::mem::take(&mut self.first).into();
        }
        std::mem::take(&mut self.all).into()
    }

    /// Reads and drops the rest of the body, if it arrives soon. Some clients drop an
    /// answer that comes before they have sent the body.
    pub(crate) async fn discard(&mut self) {
        if self.is_held_back && self.length() == 0 {
            return;
        }
        (self.first, self.all) = (Bytes::new(), BytesMut::new());
        if self.declared() > DISCARDED_BYTES {
            return;
        }
        let end = Instant::now() + DISCARD_TIME;
        let mut left = DISCARDED_BYTES;
        while !self.is_whole && left > 0 {
            let until = end.min(Instant::now() + DISCARD_PAUSE);
            match timeout_at(until, self.incoming.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    left = left.saturating_sub(bytes as u64);
                }
                Ok(None) => self.is_whole = true,
                Ok(Some(Err(_))) | Err(_) => return,
            }
        }
    }

    /// Returns the greatest length that the body can have, in bytes.
    pub(crate) fn longest(&self) -> usize {
        let rest = self.incoming.size_hint().upper();
        let rest = rest.and_then(|rest| usize::try_from(rest).ok());
        let longest = rest.map(|rest| self.length().saturating_add(rest));
        longest.unwrap_or(usize::MAX).min(self.limit)
    }

    /// Returns how many bytes the request declares beyond those that were read.
    fn declared(&self) -> u64 {
        self.incoming.size_hint().lower()
    }

    fn length(&self) -> usize {
        self.all.len().max(self.first.len())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unreadable>> {
        while !self.is_whole && self.length() <= self.room {
            let Some(frame) = ready!(Pin::new(&mut self.incoming).poll_frame(context)) else {
                self.is_whole = true;
                break;
            };
            let frame = frame.map_err(|error| Unreadable {
                refusal: Refusal::BodyIncomplete,
                detail: Some(error.to_string()),
            });
            // Trailers are ignored.
            if let Ok(data) = frame?.into_data() {
                self.push(data)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, data: Bytes) -> Result<(), Unreadable> {
        if self.length() + data.len() > self.limit {
            return Err(Unreadable {
                refusal: Refusal::BodyTooLarge,
                detail: None,
            });
        }
        if self.length() == 0 {
            self.first = data;
            return Ok(());
        }
        if self.all.is_empty() {
            let rest = usize::try_from(self.declared()).unwrap_or_default();
            let capacity = self.first.len() + data.len() + rest.min(self.room);
            self.all.reserve(capacity);
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
        Ok(())
    }
}
