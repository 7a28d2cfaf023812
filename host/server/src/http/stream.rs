//! A connection that may not stall: neither in the middle of a header, nor
//! between requests, nor while it is sent an answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;

/// Whether a request is being answered, in which time a connection may be
/// silent: the request has its own limits.
#[derive(Clone, Default)]
pub(crate) struct Answering(Arc<AtomicU8>);

/// No request since the stream last looked, one that is being answered, or one
/// that was.
const NONE: u8 = 0;
const ONE: u8 = 1;
const ENDED: u8 = 2;

impl Answering {
    pub(crate) fn set(&self, answering: bool) {
        self.0.store(if answering { ONE } else { ENDED }, Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Relaxed) == ONE
    }

    /// Whether an answer has ended; it is told once.
    fn take_end(&self) -> bool {
        let taken = self.0.compare_exchange(ENDED, NONE, Relaxed, Relaxed);
        taken.is_ok()
    }
}

/// A stream whose reads and writes fail when they stall.
pub(crate) struct Guarded<S> {
    stream: S,
    answering: Answering,
    header_time: Duration,
    idle_time: Duration,
    write_time: Duration,
    /// When the reading side must have moved on.
    read_deadline: Pin<Box<Sleep>>,
    /// What the deadline is for.
    reading: Reading,
    /// When the writing side must have moved on; none while it does.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// The first byte of a header.
    Nothing,
    /// The rest of it.
    Header,
    /// A body, or what comes after it.
    Request,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, limits: &Limits, answering: Answering) -> Self {
        Self {
            stream,
            answering,
            header_time: limits.header_time(),
            idle_time: limits.idle_time(),
            write_time: limits.write_time(),
            // A new connection has something to say.
            read_deadline: Box::pin(tokio::time::sleep(limits.header_time())),
            reading: Reading::Header,
            write_deadline: None,
        }
    }

    /// Begins the time between requests. An answer may have come without a read
    /// meanwhile, and no read may follow until there is something to read: that
    /// the time is over must wake the connection all the same.
    fn rest(&mut self, context: &mut Context<'_>) {
        self.reading = Reading::Nothing;
        let deadline = Instant::now() + self.idle_time;
        self.read_deadline.as_mut().reset(deadline);
        // When it is over already, the next read finds that.
        let _ = self.read_deadline.as_mut().poll(context);
    }

    fn expect(&mut self, reading: Reading, within: Duration) {
        if self.reading != reading {
            self.reading = reading;
            self.read_deadline.as_mut().reset(Instant::now() + within);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.answering.get() {
            this.reading = Reading::Request;
        } else if this.answering.take_end() {
            this.rest(context);
        }
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            if this.reading == Reading::Nothing {
                this.expect(Reading::Header, this.header_time);
            }
            return polled;
        }
        if this.reading == Reading::Request {
            return Poll::Pending;
        }
        ready!(this.read_deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Passes on what a write came to, unless it has been pending for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_deadline = None;
            return polled;
        }
        let within = self.write_time;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() && self.answering.take_end() {
            self.rest(context);
        }
        self.written(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn guarded(
        buffer: usize,
    ) -> (
        tokio::io::DuplexStream,
        Guarded<tokio::io::DuplexStream>,
        Answering,
    ) {
        let (ours, theirs) = duplex(buffer);
        let answering = Answering::default();
        let guarded = Guarded::new(theirs, &Limits::DEFAULT, answering.clone());
        (ours, guarded, answering)
    }

    fn elapsed_s(since: Instant) -> u64 {
        since.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_ends_the_connection() {
        let (mut ours, mut guarded, _) = guarded(64);
        let started = Instant::now();
        ours.write_all(b"G").await.unwrap();
        assert_eq!(guarded.read_u8().await.unwrap(), b'G');
        let error = guarded.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed_s(started), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_idle_time() {
        let (mut ours, mut guarded, answering) = guarded(64);
        ours.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        answering.set(true);
        let waits = tokio::time::timeout(Duration::from_secs(3600), guarded.read_u8());
        assert!(waits.await.is_err(), "a request has its own limits");
        answering.set(false);
        let started = Instant::now();
        assert!(guarded.read_u8().await.is_err());
        assert_eq!(elapsed_s(started), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends_the_connection() {
        let (_ours, mut guarded, _) = guarded(4);
        let started = Instant::now();
        let error = guarded
            .write_all(b"too much for the pipe")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed_s(started), 10);
    }
}
